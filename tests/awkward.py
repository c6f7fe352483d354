"""Contenders that misbehave, one way each."""

import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders import Constant
from framework.data.frame import Fold
from framework.problem import KINDS, Kind


@dataclass(frozen=True)
class Awkward:
    """A constant that first does something it should not."""

    name: str = "awkward"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset(KINDS)
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> Model:
        self.misbehave(fold, context)
        return Constant().fit(fold, context)

    def settled(self, model: Model) -> Self:
        return self

    def misbehave(self, fold: Fold, context: Context) -> None:
        """What it does before it fits."""


class UnpicklableError(Exception):
    """Holds what cannot travel."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


@dataclass(frozen=True)
class Raises(Awkward):
    name: str = "raises"

    def misbehave(self, fold: Fold, context: Context) -> None:
        raise UnpicklableError("the third layer does not add up")


@dataclass(frozen=True)
class Killed(Awkward):
    name: str = "killed"

    def misbehave(self, fold: Fold, context: Context) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Hungry(Awkward):
    name: str = "hungry"

    def misbehave(self, fold: Fold, context: Context) -> None:
        bytearray(2**60)


@dataclass(frozen=True)
class Deaf(Awkward):
    """Never looks at its deadline."""

    name: str = "deaf"

    def misbehave(self, fold: Fold, context: Context) -> None:
        time.sleep(600)


@dataclass(frozen=True)
class Chatty(Awkward):
    """Reports ten thousand steps."""

    name: str = "chatty"

    def misbehave(self, fold: Fold, context: Context) -> None:
        for step in range(1, 10_001):
            context.report(step, loss=1 / step)


@dataclass(frozen=True)
class Undefined(Awkward):
    """Predicts what is not a number."""

    name: str = "undefined"

    def fit(self, fold: Fold, context: Context) -> Model:
        model = Constant().fit(fold, context)
        return replace(model, answer=tuple(float("nan") for _ in model.answer))


@dataclass(frozen=True)
class Growing(Awkward):
    """Takes a quarter of a gigabyte more every tenth of a second."""

    name: str = "growing"

    def misbehave(self, fold: Fold, context: Context) -> None:
        held = []
        for _ in range(80):
            held.append(b"x" * 2**28)
            time.sleep(0.1)


def hoard_once(facts: dict[str, Any]) -> int:
    """A distributed loop of six steps, whose second rank fills the node's memory at the third, the first time.

    Returns the step at which the last attempt began.
    """
    from framework.training import on_ray

    with on_ray.newest() as kept:
        first = int((kept / "step").read_text()) + 1 if kept else 0
    hoard = []
    for step in range(first, 6):
        on_ray.report({"step": step}, lambda folder, step=step: (folder / "step").write_text(str(step)))
        while first == 0 and step == 2 and on_ray.rank() == 1:
            hoard.append(np.ones(2**24))
            time.sleep(0.02)
    return first
