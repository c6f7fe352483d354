"""Columns made of others: learned from training rows, then the same for any row."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, Protocol, Self

import numpy as np
import pandas as pd

from framework.data.frame import Frame
from framework.features.cells import Cells

Answer = Literal["binary", "multiclass", "continuous"]
Asked = list[str]  # "ratio", "difference", "sum", "product", "mean" or "count", and two columns
SIGNS = {"ratio": "/", "difference": "-", "sum": "+", "product": "*"}
POSITIVE_SHARE = 0.99  # of its values, for a column to be divided by


class Made(Protocol):
    """Columns made of others."""

    @property
    def names(self) -> list[str]: ...

    def columns(self, X: pd.DataFrame) -> np.ndarray:
        """Shape (rows, columns), float64, nan where there is no telling."""
        ...


@dataclass(frozen=True)
class Arithmetic:
    """made: [operation, first, second] of two numbers, ratios as they are, all else of standardised columns."""

    made: list[Asked]
    middle: dict[str, float]
    spread: dict[str, float]

    @classmethod
    def learn(cls, made: list[Asked], X: pd.DataFrame) -> Self:
        numbers = {name: X[name].to_numpy(dtype=np.float64) for _, *two in made for name in two}
        middle = {name: float(np.nanmean(values)) for name, values in numbers.items()}
        return cls(made, middle, {name: float(np.nanstd(values)) or 1.0 for name, values in numbers.items()})

    @property
    def names(self) -> list[str]:
        return [f"{first} {SIGNS[operation]} {second}" for operation, first, second in self.made]

    def columns(self, X: pd.DataFrame) -> np.ndarray:
        told = np.empty((len(X), len(self.made)), order="F")
        for place, (operation, first, second) in enumerate(self.made):
            a, b = X[first].to_numpy(dtype=np.float64), X[second].to_numpy(dtype=np.float64)
            if operation == "ratio":
                told[:, place] = np.divide(a, b, out=np.full(len(a), np.nan), where=b != 0)
                continue
            a, b = (a - self.middle[first]) / self.spread[first], (b - self.middle[second]) / self.spread[second]
            told[:, place] = a - b if operation == "difference" else a + b if operation == "sum" else a * b
        return told


@dataclass(frozen=True)
class MeanAnswers:
    """The mean answer of training rows in the same cell, for classes one a class (Micci-Barreca 2001).

    pairs: of columns whose cells are taken together; the same column twice: alone.
    """

    pairs: list[list[str]]
    cells: Cells
    encoder: Any

    @classmethod
    def learn(
        cls, pairs: list[list[str]], X: pd.DataFrame, y: np.ndarray, *, answer: Answer, parts: np.ndarray
    ) -> tuple[Self, np.ndarray]:
        """Beside itself the columns of these rows, each by the other parts' answers: none sees its own.

        parts: each row's part, from 0, shape (rows,).
        """
        from sklearn.preprocessing import TargetEncoder

        cells = Cells.learn(X[list(dict.fromkeys(name for pair in pairs for name in pair))])
        held = [(np.flatnonzero(parts != part), np.flatnonzero(parts == part)) for part in np.unique(parts)]
        encoder = TargetEncoder(target_type=answer, cv=held)
        learned = cls(pairs, cells, encoder)
        told = np.asarray(encoder.fit_transform(learned._keys(X), y), dtype=np.float64)
        encoder.set_params(cv=len(held))  # the parts are no part of a model
        return learned, told

    @property
    def names(self) -> list[str]:
        told = [first if first == second else f"{first} & {second}" for first, second in self.pairs]
        if self.encoder.target_type_ != "multiclass":
            return [f"mean answer by {name}" for name in told]
        return [f"share of class {label} by {name}" for name in told for label in self.encoder.classes_]

    def columns(self, X: pd.DataFrame) -> np.ndarray:
        if not len(X):
            return np.empty((0, len(self.names)))
        return np.asarray(self.encoder.transform(self._keys(X)), dtype=np.float64)

    def _keys(self, X: pd.DataFrame) -> np.ndarray:
        return np.column_stack([self.cells.both(X, *pair) for pair in self.pairs]).astype(np.float64)


@dataclass(frozen=True)
class Counts:
    """How many training rows have the same value, as a logarithm; 0 for values not known."""

    cells: Cells
    counts: dict[str, np.ndarray]

    @classmethod
    def learn(cls, names: list[str], X: pd.DataFrame) -> Self:
        cells = Cells.learn(X[names])
        counts = {name: np.bincount(cells.of(X, name), minlength=cells.size(name)) for name in cells.levels}
        return cls(cells, {name: np.log1p(of_cells) for name, of_cells in counts.items()})

    @property
    def names(self) -> list[str]:
        return [f"rows with this {name}" for name in self.counts]

    def columns(self, X: pd.DataFrame) -> np.ndarray:
        return np.column_stack([counts[self.cells.of(X, name)] for name, counts in self.counts.items()])


def arithmetic(numbers: list[str], X: pd.DataFrame) -> list[Asked]:
    """All of it that can be made of each two of these numbers; a ratio only by what is hardly ever 0 or below."""
    over = {name: bool((X[name].dropna() > 0).mean() > POSITIVE_SHARE) for name in numbers}
    found: list[Asked] = []
    for first, second in combinations(numbers, 2):
        if over[second] or over[first]:
            found.append(["ratio", first, second] if over[second] else ["ratio", second, first])
        found += [[operation, first, second] for operation in ("difference", "sum", "product")]
    return found


def make(asked: list[Asked], train: Frame, *, answer: Answer, parts: np.ndarray) -> tuple[list[Made], np.ndarray]:
    """What is asked, learned from these rows; and the rows' own columns, mean answers by the other parts'."""
    made: list[Made] = []
    columns: list[np.ndarray] = [np.empty((len(train), 0))]
    if sums := [one for one in asked if one[0] in SIGNS]:
        made.append(Arithmetic.learn(sums, train.X))
        columns.append(made[-1].columns(train.X))
    if pairs := [two for what, *two in asked if what == "mean"]:
        means, told = MeanAnswers.learn(pairs, train.X, train.y, answer=answer, parts=parts)
        made.append(means)
        columns.append(told)
    if counted := [first for what, first, _ in asked if what == "count"]:
        made.append(Counts.learn(counted, train.X))
        columns.append(made[-1].columns(train.X))
    return made, np.column_stack(columns)
