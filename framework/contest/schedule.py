"""Which fit of a contest starts next, and how long it may take."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from framework.contender import Contender

FLOORS = 2  # the first contenders, which start whatever the time: there is always a leaderboard
FLOOR_SECONDS = 6.0  # what these get at the least
LEAST_SECONDS = 1.0  # that must be left for any other
SHORTEST = 2.0  # what a first fit gets where there is so much: less would be no try
PATIENCE = 2.0  # how many times its even share of the time left one contender may take
LEAST_SHARE = 0.06  # of the time left, that one fit may take however many contenders wait: few take all of it
SAFE = 3  # the first contenders, the floors among them, whose other folds come before anybody else's …
SAFE_SHARE = 0.2  # … where they take no more than this of the time left
CHEAP_SHARE = 0.015  # of the CPU seconds left: whose other folds take no more is done with them at once
MARGIN = 1.15  # over the time that a contender's other folds should take
FIRST_SHARE = 0.4  # of the time, after which what has begun is finished before another contender begins


@dataclass(frozen=True)
class Job:
    """One fit to start. fold: which one is held out; seconds: how long it may take."""

    contender: Contender
    fold: int
    seconds: float


class Schedule:
    """The contenders' first folds, in the order given; then the others', whoever promises most first.

    The first few contenders' other folds do not wait for that: whatever is fast later, there is something to beat. Nor
    do those that cost next to nothing.

    A contender whose other folds cannot all be done in time does not begin with them. Late in the contest a first fold
    starts only when nothing that has begun could go on.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        *,
        folds: int,
        cpus: float,
        began: float,
        until: float,
        promising: Callable[[list[str]], list[str]],
        safe: int = SAFE,
    ) -> None:
        """began, until: moments of time.time(). promising: of contenders whose first fold is done, the best first.
        safe: so many of the first contenders do not wait with their other folds."""
        self.contenders = {contender.name: contender for contender in contenders}
        self.safe = [contender.name for contender in contenders[:safe]]
        self.folds, self.cpus, self.promising = folds, cpus, promising
        self.began, self.until = began, until
        self.waiting = list(contenders)
        self.begun: list[str] = []  # in the order in which their first folds ended
        self.allowed: dict[str, float] = {}
        self.lasted: dict[str, list[float]] = {}
        self.left: dict[str, list[int]] = {}  # of those that go on: the folds not started
        self.ahead: set[str] = set()  # of these: whose folds wait for nobody

    def next(self, now: float, *, running: int) -> Job | None:
        """What should start now; None where there is nothing, or nothing that could be done in time."""
        left = self.until - now
        if safe := self._safe(left):
            return safe
        if self.waiting and (self._early(now) or len(self.contenders) - len(self.waiting) < FLOORS):
            return self._first(self.waiting[0], left, running)
        for name, folds in self.left.items():
            if folds and left > LEAST_SECONDS:
                return self._other(name, left)
        able = [name for name in self.begun if name not in self.left and self._fits(name, left)]
        if self.folds > 1 and able and left > LEAST_SECONDS:
            chosen = self.promising(able)[0]
            self.left[chosen] = list(range(1, self.folds))
            return self._other(chosen, left)
        return self._first(self.waiting[0], left, running) if self.waiting else None

    def _safe(self, left: float) -> Job | None:
        """The next fold of the first contenders, where all of theirs take little of the time left, and of those whose
        folds are so cheap that to choose among them would save nothing."""
        for name in [*self.safe, *self.begun]:
            open_ = name in self.begun and name not in self.left
            if open_ and (self._cheap(name, left) or (name in self.safe and self._fits(name, SAFE_SHARE * left))):
                self.left[name] = list(range(1, self.folds))
                self.ahead.add(name)
            if self.left.get(name) and name in self.ahead and left > LEAST_SECONDS:
                return self._other(name, left)
        return None

    def _cheap(self, name: str, left: float) -> bool:
        return self.folds > 1 and self._seconds(name) * (self.folds - 1) < CHEAP_SHARE * left * self.cpus

    def _other(self, name: str, left: float) -> Job:
        """The next of a contender's other folds."""
        return Job(self.contenders[name], self.left[name][0], min(self.allowed[name], left))

    def _early(self, now: float) -> bool:
        return self.folds == 1 or now - self.began < FIRST_SHARE * (self.until - self.began)

    def started(self, job: Job) -> None:
        if job.fold:
            self.left[job.contender.name].remove(job.fold)
        else:
            self.waiting.remove(job.contender)
            self.allowed[job.contender.name] = job.seconds

    def ended(self, name: str, seconds: float) -> None:
        """A fit of this contender left a model."""
        self.lasted.setdefault(name, []).append(seconds)
        if name not in self.begun:
            self.begun.append(name)

    def lost(self, name: str) -> None:
        """A fit of this contender left none: no other of its folds is of use."""
        self.left[name] = []

    def _first(self, contender: Contender, left: float, running: int) -> Job:
        least = FLOOR_SECONDS if contender in list(self.contenders.values())[:FLOORS] else 0.0
        even = left * self.cpus / (self.folds * (len(self.waiting) + running))
        return Job(contender, 0, max(min(max(PATIENCE * even, LEAST_SHARE * left, SHORTEST), left), least))

    def _fits(self, name: str, left: float) -> bool:
        """Whether all its other folds, behind those of the ones before it, will be done in time."""
        pending = sum(self._seconds(other) * len(folds) for other, folds in self.left.items())
        width = self._width(name)
        waves = math.ceil((self.folds - 1) / max(1.0, self.cpus // width))
        return MARGIN * (pending / self.cpus + waves * self._mean(name)) < left

    def _mean(self, name: str) -> float:
        return statistics.fmean(self.lasted[name]) if name in self.lasted else self.allowed[name]

    def _seconds(self, name: str) -> float:
        """CPU seconds of one of its folds."""
        return self._mean(name) * self._width(name)

    def _width(self, name: str) -> float:
        resources = self.contenders[name].resources
        return max(resources.cpus * resources.workers, 0.1)
