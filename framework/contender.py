"""The narrow interface: what competes, what a fit leaves behind, and how a contender speaks to the outside."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.data.frame import Fold
from framework.problem import Kind
from framework.scratch import own_folder

if TYPE_CHECKING:
    from framework.privacy.allowance import Allowance
    from framework.sweep.trial import Trial

log = logging.getLogger(__name__)


class OutOfTimeError(UserError):
    """A fit whose time was too short for any model: what raises it is asked for more minutes, not for a mend."""


def silent(step: int, metrics: dict[str, float]) -> None:
    """A report that nobody reads."""


def untold(trial: "Trial") -> None:
    """A trial that nobody hears of."""


def unkept(name: str, content: bytes) -> None:
    """A file that nobody keeps."""


@dataclass(frozen=True)
class Context:
    """All that a contender knows of the world outside its rows.

    deadline: when the fit must have returned, in seconds of `time.time()`; past it the process is killed.
    folder: a scratch folder of its own, gone after the fit; without one, gone with this context and its copies.
    threads: CPU threads it may use.
    checkpoints: a folder or URI that every node of the cluster reaches, where a distributed fit keeps its checkpoints;
    a fit that finds some there goes on from the newest sound one. None: they are gone with the fit.
    allowance: what rows may cost that are learned from with differential privacy, and the ledger of it; None: nobody
    keeps count.
    """

    seed: int = 0
    deadline: float = float("inf")
    folder: Path = field(default_factory=own_folder)
    threads: int = 1
    gpus: float = 0.0
    sink: Callable[[int, dict[str, float]], None] = silent
    checkpoints: str | None = None
    teller: Callable[[str], None] = log.warning
    counter: "Callable[[Trial], None]" = untold
    keeper: Callable[[str, bytes], object] = unkept
    allowance: "Allowance | None" = None

    def remaining(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self.deadline - time.time())

    def report(self, step: int, **metrics: float) -> None:
        """Tells how far the fit is: shown live, kept in the tracker. Cheap enough for every boosting round."""
        self.sink(step, metrics)

    def remark(self, sentence: str) -> None:
        """Tells what whoever reads the leaderboard should know of this fit, such as a checkpoint that was damaged."""
        self.teller(sentence)

    def tried(self, trial: "Trial") -> None:
        """Tells that a trial of a sweep has ended, and how: a run of its own in the tracker."""
        self.counter(trial)

    def keep(self, name: str, content: Path | str) -> None:
        """Keeps a file beside the model, for whoever reads the leaderboard: in the tracker, and under --out.

        name: of the file, such as "trials.json". content: the text itself, or the path of a file. The last of a name
        counts; what is too large (`framework.kept.MOST_BYTES`) is not kept, and a remark says so.
        """
        self.keeper(name, content.read_bytes() if isinstance(content, Path) else content.encode())


@runtime_checkable
class Model(Protocol):
    """What a fit leaves behind. Opens and predicts in the base environment, whoever trained it."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """X conformed to the schema → class probabilities, shape (rows, classes), rows summing to 1;
        or values, shape (rows,); or cluster labels (int64, -1 = noise), shape (rows,)."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the model into an existing empty folder, as plain data (never a pickle)."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote. Raises OSError, ValueError or KeyError when a part is missing or cut short."""
        ...


@runtime_checkable
class Contender(Protocol):
    """Anything that can be fit on a Fold. A frozen dataclass: its fields are its hyperparameters."""

    kinds: ClassVar[frozenset[Kind]]  # the questions it can answer
    pooled: ClassVar[bool]  # needs every row in one place; False: can train on silos

    @property
    def name(self) -> str:
        """Its row on the leaderboard."""
        ...

    @property
    def resources(self) -> Resources:
        """What one fit asks of Ray."""
        ...

    def fit(self, fold: Fold, context: Context) -> Model:
        """Learns from fold.train, stops early by fold.valid where it has rows, returns before context.deadline."""
        ...

    def settled(self, model: Model) -> "Contender":
        """Itself with what early stopping found written into its fields, ready to fit once more on all rows."""
        ...


@runtime_checkable
class Checked(Protocol):
    """A contender whose settings may contradict one another, which it can say before anything is fit."""

    def check(self) -> None:
        """Raises the UserError that `fit` would."""
        ...
