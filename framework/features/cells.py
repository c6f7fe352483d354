"""Columns as whole numbers, few enough to count by: categories and repeated texts as they are, numbers in bins."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.contenders.native import codes_of

BINS = 8
TWICE = 2  # a text that stands in fewer rows is not told from others
LEAST_SHARE = 0.5  # of the rows, that repeated texts stand in


@dataclass(frozen=True)
class Cells:
    """levels: column → its known values, or the cuts between a number's bins, rising.

    A column that is not among them is one cell.
    """

    levels: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def learn(cls, X: pd.DataFrame, *, bins: int = BINS) -> Self:
        """Of all columns but dates and texts that hardly repeat. bins: each with about as many rows of X."""
        found = {name: _levels(X[name], bins) for name in X.columns}
        return cls({name: levels for name, levels in found.items() if levels})

    def of(self, X: pd.DataFrame, name: str) -> np.ndarray:
        """Each row's cell, int, shape (rows,): 0 where the value is missing or not known, else 1 to the last."""
        column, levels = X[name], self.levels.get(name)
        if not levels:
            return np.zeros(len(X), dtype=np.int64)
        if isinstance(levels[0], str):
            return np.asarray(codes_of(column, pd.Index(levels, dtype=object)).astype(np.int64) + 1)
        values = column.to_numpy(dtype=np.float64)
        return np.asarray(np.where(np.isnan(values), 0, np.searchsorted(levels, values, side="right") + 1))

    def both(self, X: pd.DataFrame, first: str, second: str) -> np.ndarray:
        """Each row's cell by two columns together, int, shape (rows,); by one where the two are the same."""
        if first == second:
            return self.of(X, first)
        return np.asarray(self.of(X, first) * self.size(second) + self.of(X, second))

    def size(self, name: str) -> int:
        """How many cells a column has, that for gaps counted."""
        levels = self.levels.get(name)
        return 1 if not levels else len(levels) + (1 if isinstance(levels[0], str) else 2)

    def named(self) -> list[str]:
        """The columns of names, not of numbers."""
        return [name for name, levels in self.levels.items() if isinstance(levels[0], str)]


def _levels(column: pd.Series, bins: int) -> list[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(value) for value in column.cat.categories]
    if pd.api.types.is_numeric_dtype(column.dtype):
        there = np.unique(values := column.dropna().to_numpy(dtype=np.float64))
        cuts = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])) if len(there) else there
        return [float(cut) for cut in cuts if cut > there[0]] or [float(value) for value in there[1:2]]
    if column.dtype != object:
        return []
    counts = column.value_counts()
    repeated = counts[counts >= TWICE]
    return [str(text) for text in repeated.index] if repeated.sum() >= LEAST_SHARE * len(column) else []
