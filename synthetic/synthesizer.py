"""The narrow interface: what learns a table, and what draws rows that were never in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd

from framework.contender import Context
from synthetic.codec import Codec
from synthetic.constraints import Constraint

if TYPE_CHECKING:
    from synthetic.fitted import Fitted

Allowed = Mapping[int, np.ndarray]  # part → which tokens it may take, bool, shape (1 or rows, card)


@runtime_checkable
class Synthesizer(Protocol):
    """Anything that can learn a table. A frozen dataclass: its fields are its hyperparameters."""

    licence: ClassVar[str]  # of what it computes with; "" for this project's own

    @property
    def name(self) -> str: ...

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> "Fitted":
        """Learns from all rows of a table, returns before context.deadline.

        Raises ColumnError for an id, free text or nested values, naming the column; DataError for too few rows;
        ConstraintError for a constraint that these rows break.
        """
        ...


@runtime_checkable
class Core(Protocol):
    """What an engine has learned, over parts (`layout.Layout`) in place of columns."""

    exact: ClassVar[bool]  # whether each row that it draws is allowed

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        """Places (`codec`), float64, shape (rows, parts). The same call gives the same rows, in any process."""
        ...

    def save(self, folder: Path) -> None:
        """Writes it into an existing empty folder, as plain data."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self: ...


@runtime_checkable
class Filling(Protocol):
    """A core that can draw what is missing beside what is known, and say how likely a row is."""

    def fill(self, places: np.ndarray, known: np.ndarray, allowed: Allowed, seed: int) -> np.ndarray:
        """Places, shape (rows, parts), with those that are not known (bool, same shape) drawn given the others."""
        ...

    def log_likelihood(self, places: np.ndarray) -> np.ndarray:
        """The natural logarithm of each row's probability, as tokens, shape (rows,)."""
        ...


@dataclass(frozen=True)
class Learned:
    """The rows to learn from, as an engine is given them.

    places: float64, shape (rows, parts). cards: tokens of each part. codecs: of a part that is one column, else None.
    """

    places: np.ndarray
    cards: np.ndarray
    codecs: tuple[Codec | None, ...]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def tokens(self) -> np.ndarray:
        """int64, shape (rows, parts)."""
        return self.places.astype(np.int64)


def shares(tokens: np.ndarray, card: int, smoothing: float = 0.5) -> np.ndarray:
    """How often each token of a part came, shape (card,), summing to 1; `smoothing` rows are added to each."""
    counts = np.bincount(tokens, minlength=card) + smoothing
    return np.asarray(counts / counts.sum())


def seeded(*numbers: int) -> np.random.Generator:
    """Random numbers that hang on all of these, and on nothing else."""
    return np.random.default_rng(np.random.SeedSequence([abs(int(number)) for number in numbers]))


def within(draws: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Tokens as places, anywhere within each."""
    return np.asarray(draws + random.random(draws.shape) * (1 - 1e-9))
