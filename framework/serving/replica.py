"""What one replica holds: the models of its configuration, each with its queue, and who watches its answers."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from framework.monitoring.prediction_log import PredictionLog
from framework.serving.access import Tokens
from framework.serving.batcher import Batcher
from framework.serving.data import Data
from framework.serving.guesses import Guesses
from framework.serving.live import Live, open_model
from framework.serving.observing import Observer, ObserverError, Observing, observers_of
from framework.serving.request import RequestError
from framework.serving.shelf import SLOTS, Shelf
from framework.serving.traffic.conducting import OnRay, find_conductor
from framework.serving.traffic.routing import Routing

OBSERVERS = "(observers)"  # beside the models' names in what failed
MOST_TOLD = 20  # names in one sentence
RETRY_SECONDS = 60.0  # until a model that could not be opened is tried again

log = logging.getLogger(__name__)


class Replica:
    """The models in force, the tokens that open them, and the observers.

    configuration: {"models": {name: {"uri", "version", "folder"}}, "token": SHA-256 of the administrator's token, hex,
    or None, "tokens": further ones as `access.Token.to_json` has them, or None, "observers": as `observers_of` takes
    them, "replicas": how many share a token's rate, "roots": folders below which files may be named, "secret": what the
    page's sessions are sealed with, "many": further models, opened on demand, at most "slots" of them in memory at
    once, "data": makers of rows, as `data.Data.stock` takes them}. Only models is a must.
    observers: further ones, of this process alone.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self.configuration: dict[str, Any] = {"models": {}}
        self.models: dict[str, Live] = {}
        self.shelf = Shelf()
        self.data = Data()
        self.failed: dict[str, str] = {}
        self.tokens = Tokens([])  # nobody, until the configuration says who
        self.guesses = Guesses()
        self._own = tuple(observers)
        self._retrying: asyncio.Task[None] | None = None
        self.observing = Observing(self._own)
        find = find_conductor()
        self._on_ray = isinstance(find, OnRay)
        self.routing = Routing(
            find,
            sources=self.sources,
            live=lambda name: self.models.get(name),
            tell=lambda seen: self.observing.tell(seen),
            folder=self.logged_to,
        )

    async def reconfigure(self, configuration: dict[str, Any]) -> None:
        """Opens the models that are new, forgets those that are gone; the others never notice.

        A model that cannot be opened is told in `about`, and an older one under its name stays; so are observers. It is
        tried again at the next call, and each minute until then.
        """
        wanted: Mapping[str, Mapping[str, Any]] = configuration["models"]
        if self._retrying not in (None, asyncio.current_task()):
            self._retrying.cancel()
        self._retrying, before = None, self.failed
        self.tokens, self.failed = Tokens.of(configuration), {}
        observed = await self._observe(configuration.get("observers", []))
        models: dict[str, Live] = {}
        for name, source in wanted.items():
            live = self.models.get(name)
            if live is not None and name not in before and source == self.configuration["models"].get(name):
                models[name] = live
                continue
            try:
                served = await asyncio.to_thread(open_model, name, **source)
                models[name] = Live(served, Batcher(served.score))
            except Exception as error:  # the border to a model's files: the other models live on
                log.exception("model %s could not be opened", name)
                self.failed[name] = str(error)
                if live is not None:
                    models[name] = live
        self.failed |= await asyncio.to_thread(self.data.stock, configuration.get("data") or {})
        self.shelf.stock(configuration.get("many") or {}, configuration.get("slots") or SLOTS)
        self.models, self.configuration = models, {**configuration, "observers": observed}
        if wanted.keys() & self.failed.keys():
            self._retrying = asyncio.create_task(self._retry())
        await asyncio.to_thread(self.routing.exchange)
        if self._on_ray:
            self.routing.start()

    async def _retry(self) -> None:
        await asyncio.sleep(RETRY_SECONDS)
        await self.reconfigure(self.configuration)

    def about(self) -> dict[str, Any]:
        """The configuration in force and the models that failed to open, for `serve` and `unserve`."""
        return {"configuration": self.configuration, "failed": self.failed}

    def live(self, name: str) -> Live:
        """The model of a name; of several versions the first that gets requests. Raises RequestError (404) where there
        is none, and for one of the many: `opened` gives those too."""
        found = self.routing.main(name) or self.models.get(name)
        if found is None:
            names = self.names()
            told = ", ".join(names[:MOST_TOLD]) or "none"
            more = f" and {len(names) - MOST_TOLD:,} more" if len(names) > MOST_TOLD else ""
            raise RequestError(f"no model {name[:200]!r} is served here. Served: {told}{more}.", status=404)
        return found

    async def opened(self, name: str) -> Live:
        """The same; of the many, too, which are opened where they are not in memory."""
        return await self.shelf.live(name) if name in self.shelf else self.live(name)

    def names(self) -> list[str]:
        """What may be asked by its name."""
        return sorted({*self.models, *self.shelf.sources})

    def sources(self) -> dict[str, Mapping[str, Any]]:
        """Where each of these comes from, as configured."""
        return {**self.shelf.sources, **self.configuration["models"]}

    def source(self, name: str) -> dict[str, Any]:
        """What `open_model` takes to open the model of a name elsewhere. Raises RequestError (404) as `live`."""
        if name in self.shelf:
            return dict(self.shelf.sources[name])
        served, local = self.live(name).served, self.configuration["models"][name]["folder"] is not None
        return {"uri": served.uri, "version": served.version, "folder": str(served.folder) if local else None}

    def logged_to(self) -> str | None:
        """The folder of the prediction log, where one is kept."""
        logs = (each.folder for each in self.observing.observers if isinstance(each, PredictionLog))
        return next((str(folder) for folder in logs), None)

    async def _observe(self, wanted: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Makes the observers that are wanted; returns those in force, which are the earlier ones where that fails."""
        present: Sequence[Mapping[str, Any]] = self.configuration.get("observers", [])
        if wanted == present:
            return present
        try:
            made = await asyncio.to_thread(observers_of, wanted)
        except ObserverError as error:
            self.failed[OBSERVERS] = str(error)
            return present
        before, self.observing = self.observing, Observing([*self._own, *made])
        await asyncio.to_thread(before.close, keep=self._own)
        return wanted
