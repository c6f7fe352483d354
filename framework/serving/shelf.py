"""Many models behind one server, few of them in memory: opened when they are asked, put away when others are.

Ray Serve's own `serve.multiplexed` does the same inside of a replica, but counts models by a header that clients must
send, and steers requests by it in its Python proxy alone; here a model is asked by its address like any other.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.user_error import UserError
from framework.serving.batcher import Batcher
from framework.serving.live import Live, open_model
from framework.serving.request import RequestError
from framework.serving.served import Served

SLOTS = 20  # models in memory at once, by default
RETRY_SECONDS = 60.0  # until a model that could not be opened is tried again
MOST_SLOTS = 10_000

log = logging.getLogger(__name__)

Sources = Mapping[str, Mapping[str, Any]]  # by name what `open_model` takes


class SlotsError(UserError):
    """A number of models in memory that there cannot be."""


def check_slots(slots: int | None) -> None:
    """Raises SlotsError unless so many models can be in memory; None: as many as there are by default."""
    if slots is not None and not (isinstance(slots, int) and 1 <= slots <= MOST_SLOTS):
        raise SlotsError(f"slots is {slots!r}; so many models are in memory at once, 1 to {MOST_SLOTS:,}.")


@dataclass
class Shelf:
    """The models that are opened on demand, in one replica; called by its event loop alone.

    sources: all of them, by name. slots: how many are in memory at the most; the one that was asked longest ago makes
    room before another is opened, and is gone once its last answer is out. opened, put_away: how often that happened.
    """

    open: Callable[..., Served] = open_model
    sources: Sources = field(default_factory=dict)
    slots: int = SLOTS
    opened: int = 0
    put_away: int = 0
    _held: OrderedDict[str, Live] = field(default_factory=OrderedDict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _failed: dict[str, tuple[float, str]] = field(default_factory=dict)
    _opening: dict[str, asyncio.Task[Live]] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def stock(self, sources: Sources, slots: int) -> None:
        """Other models, or another number of slots. Those in memory stay there where they are still the same."""
        for name in [name for name in self._held if sources.get(name) != self.sources.get(name)]:
            del self._held[name]
        self.sources, self.slots, self._failed = dict(sources), slots, {}
        self._make_room(slots)

    def __contains__(self, name: str) -> bool:
        return name in self.sources

    def in_memory(self) -> list[Live]:
        """The open ones, that which was asked longest ago first."""
        return list(self._held.values())

    async def live(self, name: str) -> Live:
        """A model of the sources, opened where it is not in memory; who asks for it meanwhile waits for the same one.

        Raises RequestError (503) for one that cannot be opened; it is not tried again for a minute.
        """
        if (held := self._held.get(name)) is not None:
            self._held.move_to_end(name)
            return held
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.create_task(self._opened(name, self.sources[name]))
            task.add_done_callback(lambda done: self._ended(name, done))
        return await asyncio.shield(task)  # one client that hangs up does not end what others wait for

    def told(self) -> dict[str, Any]:
        """As GET /api/v1/models tells it; of a model in memory the seconds that its opening took."""
        models = [
            {
                "name": name,
                "uri": source["uri"],
                "version": source["version"],
                "in_memory": name in self._held,
                "seconds": self._seconds.get(name) if name in self._held else None,
            }
            for name, source in sorted(self.sources.items())
        ]
        return {"slots": self.slots, "opened": self.opened, "put_away": self.put_away, "models": models}

    async def _opened(self, name: str, source: Mapping[str, Any]) -> Live:
        async with self._turn:
            until, why = self._failed.get(name, (0.0, ""))
            if time.monotonic() < until:
                raise _cannot(name, why, until - time.monotonic())
            self._make_room(self.slots - 1)
            began = time.perf_counter()
            try:
                served = await asyncio.to_thread(self.open, name, **source)
            except Exception as error:  # the border to a model's files: the other models live on
                log.exception("model %s could not be opened", name)
                self._failed[name] = time.monotonic() + RETRY_SECONDS, str(error)
                raise _cannot(name, str(error), RETRY_SECONDS) from error
            live = Live(served, Batcher(served.score))
            if self.sources.get(name) == source:
                seconds = time.perf_counter() - began
                self._held[name], self._seconds[name] = live, round(seconds, 4)
                self.opened += 1
                log.info("model %s is opened (%.2f s), %d of %d", name, seconds, len(self._held), self.slots)
            return live

    def _make_room(self, most: int) -> None:
        while len(self._held) > most:
            name, _ = self._held.popitem(last=False)
            self.put_away += 1
            log.info("model %s is put away", name)

    def _ended(self, name: str, task: asyncio.Task[Live]) -> None:
        if self._opening.get(name) is task:
            del self._opening[name]
        if not task.cancelled():
            task.exception()  # is looked at, also where everybody who waited has gone


def _cannot(name: str, why: str, seconds: float) -> RequestError:
    return RequestError(f"model {name!r} cannot be opened: {why}", status=503, retry_after=seconds)
