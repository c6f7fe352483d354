"""Clocks that a test moves, or that only its own work moves: what they show does not hang on how busy a machine is."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass
class Ahead:
    """The time of day and as much more as it was put forward. Units: seconds."""

    real: Callable[[], float]
    ahead: float = 0.0

    def __call__(self) -> float:
        return self.real() + self.ahead


def put_forward(patch: pytest.MonkeyPatch) -> Ahead:
    """From now on time.time(), in this process, is what the test makes of it."""
    clock = Ahead(time.time)
    patch.setattr(time, "time", clock)
    return clock


def by_own_work(patch: pytest.MonkeyPatch) -> None:
    """From now on time.time() goes on by what this process computes: it stands while others have the CPU."""
    began, computed = time.time(), time.process_time()
    patch.setattr(time, "time", lambda: began + time.process_time() - computed)
