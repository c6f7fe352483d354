"""What one replica holds: the models of its configuration, each with its queue, and who watches its answers."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.predictor import Predictor
from framework.serving.access import Tokens
from framework.serving.batcher import Batcher
from framework.serving.observing import Observer, ObserverError, Observing, observers_of
from framework.serving.request import RequestError
from framework.serving.served import Answer, Served
from framework.serving.served import Request as Rows

OBSERVERS = "(observers)"  # beside the models' names in what failed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """A served model with the queue in front of it."""

    served: Served
    batcher: Batcher[Rows, Answer]


class Replica:
    """The models in force, the tokens that open them, and the observers.

    configuration: {"models": {name: {"uri", "version", "folder"}}, "token": SHA-256 of the administrator's token, hex,
    or None, "tokens": further ones as `access.Token.to_json` has them, or None, "observers": as `observers_of` takes
    them, "replicas": how many share a token's rate, "roots": folders below which files may be named}. Only models is a
    must.
    observers: further ones, of this process alone.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self.configuration: dict[str, Any] = {"models": {}}
        self.models: dict[str, Live] = {}
        self.failed: dict[str, str] = {}
        self.tokens = Tokens([])  # nobody, until the configuration says who
        self._own = tuple(observers)
        self.observing = Observing(self._own)

    async def reconfigure(self, configuration: dict[str, Any]) -> None:
        """Opens the models that are new, forgets those that are gone; the others never notice.

        A model that cannot be opened is told in `about`, and an older one under its name stays; so are observers.
        """
        wanted: Mapping[str, Mapping[str, Any]] = configuration["models"]
        self.tokens, self.failed = Tokens.of(configuration), {}
        observed = await self._observe(configuration.get("observers", []))
        models: dict[str, Live] = {}
        for name, source in wanted.items():
            live = self.models.get(name)
            if live is not None and source == self.configuration["models"].get(name):
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
        self.models, self.configuration = models, {**configuration, "observers": observed}

    def about(self) -> dict[str, Any]:
        """The configuration in force and the models that failed to open, for `serve` and `unserve`."""
        return {"configuration": self.configuration, "failed": self.failed}

    def live(self, name: str) -> Live:
        """The model of a name. Raises RequestError (404) where there is none."""
        found = self.models.get(name)
        if found is None:
            names = ", ".join(sorted(self.models)) or "none"
            raise RequestError(f"no model {name[:200]!r} is served here. Served: {names}.", status=404)
        return found

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


def open_model(name: str, *, uri: str, version: str | None, folder: str | None) -> Served:
    """The model of a URI, ready to answer: its first prediction, the slow one, is behind it.

    folder: where its files are on this machine; None: they are fetched from the registry.
    """
    if folder is None:
        from framework.registry import resolve

        folder = str(resolve(uri))
    served = Served(name, uri, version, Predictor.open(folder))
    served.score([[served.example()]])
    return served
