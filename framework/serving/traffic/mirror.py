"""A shadow: a version that is asked what others have answered already. Nobody waits for it, and nobody sees it fail."""

import asyncio
import collections
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.serving.answer import status_of
from framework.serving.live import Live
from framework.serving.observing import Observed
from framework.serving.request import Row
from framework.serving.traffic.conducted import Shadowed

MOST_WAITING = 2_000  # rows; requests that come then are not mirrored, and counted
TOGETHER = 32  # requests that are asked at once


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A request that was answered. given: by the champion; empty where another arm has answered."""

    rows: Sequence[Row]
    given: Sequence[Mapping[str, Any]]
    request: str


class Mirror:
    """share: of the requests, one in so many, in turn. tell: is told of every answer, as observers are of others.

    seen: what it did so far.
    """

    def __init__(self, live: Live, share: float, tell: Callable[[Observed], None]) -> None:
        self.live, self.seen = live, Shadowed()
        self._share, self._tell = share, tell
        self._turn = 0.0
        self._waiting: collections.deque[Mirrored] = collections.deque()
        self._rows = 0
        self._worker: asyncio.Task[None] | None = None

    def offer(self, mirrored: Mirrored) -> None:
        """Takes note of a request, where it is its turn and not too many wait; called by the event loop alone."""
        self._turn += self._share
        if self._turn < 1 - 1e-9:
            return
        self._turn -= 1
        if self._rows and self._rows + len(mirrored.rows) > MOST_WAITING:
            self.seen.dropped += 1
            return
        self._rows += len(mirrored.rows)
        self._waiting.append(mirrored)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
                await asyncio.gather(*(self._ask(each) for each in batch))
                self._rows -= sum(len(each.rows) for each in batch)
        finally:
            self._worker = None

    async def _ask(self, mirrored: Mirrored) -> None:
        began, served = time.perf_counter(), self.live.served
        items: Sequence[Mapping[str, Any]] = ()
        try:
            items = (await self.live.batcher.ask(mirrored.rows, rows=len(mirrored.rows)))["predictions"]
            status = 200
        except Exception as error:  # the border to a shadow: it harms no answer
            status = status_of(error)
        seconds = time.perf_counter() - began
        self.seen.tally.count(status, seconds, items if served.predictor.problem.kind != "clustering" else ())
        if mirrored.given and items:
            self.seen.agreement.count(mirrored.given, items)
        request, rows = mirrored.request, mirrored.rows
        self._tell(
            Observed(served.name, served.version, rows, items, seconds, status, time.time(), request, shadow=True)
        )
