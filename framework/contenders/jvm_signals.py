"""The signals that a JVM stands on, given back to it.

A JVM has memory faults of its own making, by which it halts its threads, and handles them. Ray takes these signals for
itself whenever it starts; the next such fault would end this process.
"""

import ctypes
import signal
from dataclasses import dataclass
from functools import cache
from typing import Self

SIGNALS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
BYTES = 256  # more than C's struct sigaction has anywhere


@dataclass(frozen=True)
class Handlers:
    """What C's sigaction tells of each of SIGNALS, as bytes."""

    actions: tuple[bytes, ...]

    @classmethod
    def now(cls) -> Self:
        return cls(tuple(map(_action, SIGNALS)))

    def hold(self) -> None:
        """Sets them again where another's stand."""
        if _action(signal.SIGSEGV) == self.actions[0]:
            return
        for number, action in zip(SIGNALS, self.actions, strict=True):
            _c().sigaction(number, ctypes.create_string_buffer(action, BYTES), None)


def _action(number: int) -> bytes:
    found = ctypes.create_string_buffer(BYTES)
    _c().sigaction(number, None, found)
    return found.raw


@cache
def _c() -> ctypes.CDLL:
    return ctypes.CDLL(None)
