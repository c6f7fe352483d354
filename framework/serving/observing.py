"""Who is told of the requests that were answered: a prediction log, metrics. Never in the way of an answer."""

import collections
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from cluster.user_error import UserError
from framework.serving.request import Row

log = logging.getLogger(__name__)

MOST_WAITING = 20_000  # rows that wait to be told of; the requests that come then are dropped, and counted
PAUSE = 0.2  # seconds between two looks at what waits: no request wakes the thread that tells of it


class ObserverError(UserError):
    """An observer in the configuration that cannot be made."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A request to a served model that got its answer, or a refusal.

    model, version: as they are served; version is None for a folder.
    rows: as they came, none of them conformed; empty where the body was not understood.
    items: the answer's `predictions`, one a row; empty unless status is 200.
    seconds: from the request's head to its answer. status: of HTTP. at: when it was answered, UNIX seconds.
    request: the X-Request-ID that the client has sent or was told, at most 128 characters of it.
    shadow: whether the model was asked beside the one that answered, and its answer was not used.
    """

    model: str
    version: str | None
    rows: Sequence[Row]
    items: Sequence[Mapping[str, Any]]
    seconds: float
    status: int
    at: float
    request: str
    shadow: bool = False


class Observer(Protocol):
    """Told of every answered request, in their order, in a thread of its own: it may write files."""

    def observe(self, seen: Observed) -> None:
        """One request. What it raises is logged, and the next one comes all the same."""
        ...

    def close(self) -> None:
        """The last request was told of: the model server ends, or its configuration no longer asks for this one."""
        ...


class Observing:
    """The observers of one replica, and what waits to be told to them: at most 20,000 rows.

    dropped: requests that nobody was told of, because too many waited.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self.observers = tuple(observers)
        self.dropped = 0
        self._waiting: collections.deque[Observed] = collections.deque()
        self._came = self._left = 0  # rows; each is written by one thread only
        self._kept: tuple[Observer, ...] = ()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="observing", daemon=True)
        if self.observers:
            self._thread.start()

    def tell(self, seen: Observed) -> None:
        """Takes note of a request, in a microsecond; called by the event loop alone."""
        if not self.observers:
            return
        rows = max(1, len(seen.rows))
        if self._came - self._left + rows > MOST_WAITING and self._waiting:
            self.dropped += 1
            return
        self._came += rows
        self._waiting.append(seen)

    def close(self, *, keep: Sequence[Observer] = ()) -> None:
        """Tells what waits, then closes the observers, except for these."""
        self._kept = tuple(keep)
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._ending.wait(PAUSE):
            self._tell_all()
        self._tell_all()
        for observer in self.observers:
            if observer in self._kept:
                continue
            try:
                observer.close()
            except Exception:  # the border to an observer
                log.exception("an observer could not be closed")

    def _tell_all(self) -> None:
        while self._waiting:
            seen = self._waiting.popleft()
            for observer in self.observers:
                try:
                    observer.observe(seen)
                except Exception:  # the border to an observer: the others are told, and the server lives on
                    log.exception("an observer failed on a request to %s", seen.model)
            self._left += max(1, len(seen.rows))


def observers_of(configured: Sequence[Mapping[str, Any]]) -> list[Observer]:
    """The observers that a configuration asks for, one a replica.

    configured: [{"make": "package.module:function", "options": {its keyword arguments, plain data}}].
    Raises ObserverError for one that is not there or cannot be made.
    """
    made: list[Observer] = []
    for each in configured:
        try:
            module, _, function = str(each["make"]).partition(":")
            made.append(getattr(import_module(module), function)(**each.get("options", {})))
        except Exception as error:  # the border to an observer
            for earlier in made:
                earlier.close()
            raise ObserverError(f"observer {each.get('make')!r} cannot be made ({error}).") from error
    return made
