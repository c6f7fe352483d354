"""Rows: what a contender learns from and is held against."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from framework.data.chain import earlier, ordered
from framework.data.rolling import past
from framework.data.schema import Schema
from framework.problem import Problem

if TYPE_CHECKING:
    from framework.data.shards import Shards


_BY_ROW = ("y", "weight", "scale", "series", "space", "group", "moment")  # what Truth says of each row


class Rows(Protocol):
    """Rows to learn from, wherever they lie: in this process's memory (Frame) or in files (Shards)."""

    def __len__(self) -> int: ...

    def blocks(self, part: int = 0, parts: int = 1, *, rows: int = 65_536) -> Iterator["Frame"]:
        """The rows of one of `parts` equal parts (their lengths differ by one row at most), in order, in frames of at
        most `rows` rows. The same call gives the same rows every time, in any process."""
        ...


@dataclass(frozen=True)
class Truth:
    """What predictions are held against, without the features: light enough to resample a thousand times.

    y: class codes (int64) or values (float64), shape (rows,); None for clustering.
    weight: shape (rows,), or None for equal weights.
    scale: forecasts: each row's MASE denominator (its series' in-sample seasonal naive error), shape (rows,).
    series: forecasts: each row's series code, shape (rows,).
    space: clustering: the rows in the common standardised space, shape (rows, dimensions).
    group: a code for each row's group, shape (rows,): rows of one hang together; None where no group was declared.
    ordered: the rows follow each other in time, so that neighbours hang together.
    moment: ordered rows: a code for each row's moment, in order of time, shape (rows,): rows of one moment hang
    together too. None: each row has a moment of its own.
    features: how many feature columns there are (adjusted R² asks).
    classes: how many classes there are; 0 where the answer is no class.
    """

    y: np.ndarray | None = None
    weight: np.ndarray | None = None
    scale: np.ndarray | None = None
    series: np.ndarray | None = None
    space: np.ndarray | None = None
    group: np.ndarray | None = None
    moment: np.ndarray | None = None
    ordered: bool = False
    features: int = 0
    classes: int = 0

    def __len__(self) -> int:
        array = self.y if self.y is not None else self.space
        return 0 if array is None else len(array)

    def take(self, rows: np.ndarray) -> "Truth":
        """The same for these rows, an index array; repeats allowed."""
        arrays: dict[str, Any] = {n: getattr(self, n)[rows] for n in _BY_ROW if getattr(self, n) is not None}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Frame:
    """Rows with their answers.

    X: shape (rows, features), conformed to the schema: numbers float64, categories `category`, dates datetime64,
       text object. The index is 0 … rows-1.
    group: shape (rows,), a code (int64) for each row's group; None where no group column was declared.
    """

    X: pd.DataFrame
    truth: Truth
    group: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.X)

    @property
    def y(self) -> np.ndarray:
        """The answers, shape (rows,). Raises ValueError for clustering, which has none."""
        if self.truth.y is None:
            raise ValueError("clustering rows have no answer")
        return self.truth.y

    @property
    def weight(self) -> np.ndarray | None:
        return self.truth.weight

    def blocks(self, part: int = 0, parts: int = 1, *, rows: int = 65_536) -> Iterator["Frame"]:
        """As `Rows` has it; each block is a copy of its rows."""
        first, last = len(self) * part // parts, len(self) * (part + 1) // parts
        for begin in range(first, last, rows):
            yield self.take(np.arange(begin, min(last, begin + rows)))

    def take(self, rows: np.ndarray) -> "Frame":
        """These rows, an index array."""
        group = None if self.group is None else self.group[rows]
        return Frame(take_rows(self.X, rows), self.truth.take(rows), group)


def take_rows(X: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """These rows, an index array, counted from 0 anew; where all columns are float64, in one block of memory
    (`to_numpy` then copies nothing)."""
    if X.shape[1] and all(dtype == np.float64 for dtype in X.dtypes):
        block = np.empty((X.shape[1], len(rows)))
        for place in range(X.shape[1]):
            np.take(X.iloc[:, place].to_numpy(), rows, out=block[place], mode="wrap")
        return pd.DataFrame(block.T, columns=X.columns, copy=False)
    taken = X.take(rows)
    taken.index = pd.RangeIndex(len(rows))
    return taken


def join(frames: Sequence[Frame]) -> Frame:
    """Frames of one schema, one under the other."""
    first = frames[0]

    def stack(arrays: list[Any]) -> Any:
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    truth = replace(first.truth, **{n: stack([getattr(f.truth, n) for f in frames]) for n in _BY_ROW})
    X = pd.concat([f.X for f in frames], ignore_index=True)
    return Frame(X, truth, stack([f.group for f in frames]))


@dataclass(frozen=True)
class Fold:
    """What a contender may see: rows to learn from and rows to stop by. There is no test set in it.

    valid may have no rows (a refit on everything): then nothing can be stopped early or chosen on it.
    shards: where the rows are too many for one process: all of them, in files. `train` is then a sample of them, enough
    for who cannot train on shards and for what is learned of the columns.
    """

    problem: Problem
    schema: Schema
    train: Frame
    valid: Frame
    shards: "Shards | None" = None

    @property
    def rows(self) -> Rows:
        """All rows to learn from."""
        return self.train if self.shards is None else self.shards

    @property
    def classes(self) -> tuple[Any, ...]:
        """The target's labels in the order of their codes; empty where the answer is no class."""
        return self.schema.classes

    def holding(self, rows: np.ndarray) -> "Fold":
        """The same question over train and valid rows together: these rows (indices) to stop by, all others to learn
        from; where rows follow each other in time, only what came before."""
        every = join([self.train, self.valid]) if len(self.valid) else self.train
        if self.problem.kind == "forecast":
            learned = past(every, rows, problem=self.problem)
        elif ordered(self.problem):
            learned = earlier(every, rows, problem=self.problem)
        else:
            learned = np.setdiff1d(np.arange(len(every)), rows)
        return replace(self, train=every.take(learned), valid=every.take(rows))

    def pooled(self) -> "Fold":
        """The same question with train and valid rows together to learn from, and none to stop by."""
        nothing = self.valid.take(np.arange(0))
        shards = None if self.shards is None else self.shards.pooled()
        return replace(self, train=join([self.train, self.valid]), valid=nothing, shards=shards)
