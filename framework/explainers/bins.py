"""Raw columns as a few values each: a quarter of a number's or a date's range, a category, a yes or no, a gap."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import pandas as pd

MOST_LEVELS = 40  # of a category that are told apart; the rest are one
GAP = "missing"


@dataclass(frozen=True)
class Bins:
    """Of one column. names: what each code stands for. edges: the inner ones of a column in order, None of labels.

    labels: of a column without an order, each label's code.
    """

    column: str
    names: tuple[str, ...]
    edges: np.ndarray | None
    labels: dict[object, int]

    @classmethod
    def learn(cls, values: pd.Series, *, parts: int = 4) -> Self:
        """parts: of a column in order, equally full; one with fewer distinct values has one for each."""
        name, known = str(values.name), values.dropna()
        if _ordered(values):
            numbers = _numbers(known)
            distinct = np.unique(numbers)
            dates = values.dtype.kind == "M"
            if len(distinct) <= parts:
                told = [f"{name} = {_shown(value, dates=dates)}" for value in distinct]
                return cls(name, (*told, f"{name} {GAP}"), distinct[:-1], {})
            edges = np.unique(np.quantile(numbers, np.arange(1, parts) / parts))
            shown = [_shown(edge, dates=dates) for edge in edges]
            inner = [f"{low} < {name} ≤ {high}" for low, high in pairwise(shown)]
            told = [f"{name} ≤ {shown[0]}", *inner, f"{name} > {shown[-1]}"]
            return cls(name, (*told, f"{name} {GAP}"), edges, {})
        counts = known.value_counts()
        kept = list(counts[counts > 0].index[:MOST_LEVELS])
        labels: dict[object, int] = {label: code for code, label in enumerate(kept)}
        others = [f"{name} = another"] if len(counts[counts > 0]) > len(kept) else []
        return cls(name, (*(f"{name} = {label}" for label in kept), *others, f"{name} {GAP}"), None, labels)

    def codes(self, values: pd.Series) -> np.ndarray:
        """int64, shape (rows,); the last code is a gap's, and that before a label's that was not known."""
        gaps = values.isna().to_numpy()
        if self.edges is not None:
            told = np.searchsorted(self.edges, np.where(gaps, 0.0, _numbers(values)), side="left")
        else:
            rest = min(len(self.labels), len(self.names) - 1)
            told = np.array([self.labels.get(value, rest) for value in values.astype(object)], dtype=np.int64)
        return np.where(gaps, len(self.names) - 1, told).astype(np.int64)


def _ordered(values: pd.Series) -> bool:
    return values.dtype.kind in "fiM" and not isinstance(values.dtype, pd.CategoricalDtype)


def _numbers(values: pd.Series) -> np.ndarray:
    """float64; dates as days since 1970."""
    if values.dtype.kind == "M":
        return np.asarray((pd.DatetimeIndex(values) - pd.Timestamp(0)) / pd.Timedelta(days=1), dtype=np.float64)
    return values.to_numpy(dtype=np.float64)


def _shown(edge: float, *, dates: bool) -> str:
    return f"{pd.Timestamp(0) + pd.Timedelta(days=edge):%Y-%m-%d}" if dates else f"{edge:.4g}"
