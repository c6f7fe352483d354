"""Rows drawn ahead, so that a few of them are no cold start. Each is given away once."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

import pandas as pd

PIECE = 1_000  # rows drawn at a time
SMALL = 100  # the same while others are drawn for: who asks for a few waits no longer than these take
ENOUGH = 0.25  # of all that it holds, down to which others go first


class Buffer:
    """At most `most` rows; drawn anew in the executor as soon as half of them are gone.

    draw: so many rows, other ones at each call. It is called by one thread at a time. busy: whether somebody else may
    soon need the executor: nothing is drawn ahead then, but where few rows are left.
    """

    def __init__(
        self,
        draw: Callable[[int], pd.DataFrame],
        executor: Executor,
        most: int,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._draw, self._executor, self._most, self._busy = draw, executor, most, busy
        self._held: deque[pd.DataFrame] = deque()
        self._rows = 0
        self._lock = threading.Lock()
        self._filling = False

    def __len__(self) -> int:
        return self._rows

    def fill(self) -> None:
        """Draws until it is full, here and now."""
        while self._rows < self._most:
            self._add()

    def take(self, rows: int) -> pd.DataFrame | None:
        """So many rows; None where there are fewer."""
        with self._lock:
            if self._rows < rows:
                found = None
            else:
                parts = []
                wanted = rows
                while wanted:
                    first = self._held.popleft()
                    parts.append(first.iloc[:wanted])
                    if len(first) > wanted:
                        self._held.appendleft(first.iloc[wanted:])
                    wanted -= len(parts[-1])
                self._rows -= rows
                found = parts[0] if len(parts) == 1 else pd.concat(parts)
            if self._rows <= self._most // 2 and not self._filling:
                self._filling = True
                self._executor.submit(self._refill)
        return found

    def _refill(self) -> None:
        """One piece, and the next one behind whatever waits meanwhile; put off, whoever takes next asks for it anew."""
        with self._lock:
            if self._busy() and self._rows > ENOUGH * self._most:
                self._filling = False
                return
        try:
            self._add()
        finally:
            with self._lock:
                self._filling = self._rows < self._most
                if self._filling:
                    self._executor.submit(self._refill)

    def _add(self) -> None:
        drawn = self._draw(min(SMALL if self._busy() else PIECE, self._most))
        with self._lock:
            self._held.append(drawn)
            self._rows += len(drawn)
