"""What is agreed of the columns without a row leaving: what a silo tells of its rows, and how that becomes one figure.

Pure numpy. A silo calls `moments_of`, `histogram_of` and `categories_of`; a coordinator joins what they return.
Counts, means, variances, gaps and categories are those of the pooled rows; quantiles are within a cell of them.
`least` is a silo's minimum count: nothing that leaves stands for fewer rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from cluster.wire import Arrays

CELLS = 1024
FARTHEST = 1000.0  # standard deviations from the mean, where the outermost cells begin
Counts = Mapping[str, Mapping[str, int]]  # column → value → rows


@dataclass(frozen=True)
class Moments:
    """Of each column, shape (columns,), float64: rows with a value, rows without, their mean, and the sum of squared
    distances from it. A column with fewer than `least` values counts as one without any."""

    count: np.ndarray
    missing: np.ndarray
    mean: np.ndarray
    square: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """The standard deviation (of the population), 0 where there are no values."""
        return np.asarray(np.sqrt(self.square / np.maximum(self.count, 1)))

    def to_arrays(self) -> Arrays:
        return {"count": self.count, "missing": self.missing, "mean": self.mean, "square": self.square}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["count"], arrays["missing"], arrays["mean"], arrays["square"])


def moments_of(matrix: np.ndarray, least: int = 1) -> Moments:
    """Of rows, shape (rows, columns), nan where a value is missing."""
    there = np.isfinite(matrix)
    count = there.sum(axis=0).astype(np.float64)
    mean = np.where(there, matrix, 0.0).sum(axis=0) / np.maximum(count, 1)
    square = (np.where(there, matrix - mean, 0.0) ** 2).sum(axis=0)
    told = count >= least
    missing = np.where(told, len(matrix) - count, 0.0)
    return Moments(*(np.where(told, part, 0.0) for part in (count, missing, mean, square)))


def join_moments(parts: Sequence[Moments]) -> Moments:
    """M = Σ M_k + Σ n_k (x̄_k - x̄)², the moments of all rows (Chan, Golub, LeVeque 1983, equation 1.5)."""
    counts = np.stack([part.count for part in parts])
    means = np.stack([part.mean for part in parts])
    total = counts.sum(axis=0)
    mean = (counts * means).sum(axis=0) / np.maximum(total, 1)
    square = sum(part.square for part in parts) + (counts * (means - mean) ** 2).sum(axis=0)
    return Moments(total, np.sum([part.missing for part in parts], axis=0), mean, np.asarray(square))


def edges_of(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """The cells' edges of each column, shape (columns, CELLS + 1): narrow about the mean, wider and wider outwards."""
    steps = np.sinh(np.linspace(-1, 1, CELLS + 1) * np.arcsinh(FARTHEST))
    return np.asarray(mean[:, None] + np.where(deviation > 0, deviation, 1.0)[:, None] * steps)


def histogram_of(matrix: np.ndarray, edges: np.ndarray, least: int = 1) -> np.ndarray:
    """How many values of each column lie in each cell, int64, shape (columns, cells). edges: (columns, cells + 1).

    With least > 1 the sorted values are taken in stretches of at least so many, each told at the cell of its mean
    (microaggregation: Domingo-Ferrer, Mateo-Sanz 2002). A column with fewer values tells nothing.
    """
    last = edges.shape[1] - 2
    counts = np.zeros((matrix.shape[1], last + 1), dtype=np.int64)
    for place, column in enumerate(matrix.T):
        values = np.sort(column[np.isfinite(column)])
        if len(values) < max(least, 1):
            continue
        stretches = np.array_split(values, len(values) // least) if least > 1 else [values]
        told = np.array([part.mean() for part in stretches]) if least > 1 else values
        weight = np.array([len(part) for part in stretches]) if least > 1 else np.ones(len(values), dtype=np.int64)
        cells = np.clip(np.searchsorted(edges[place], told, side="right") - 1, 0, last)
        np.add.at(counts[place], cells, weight)
    return counts


def quantiles_of(counts: np.ndarray, edges: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The values below which these shares lie, each within its cell; shape (columns, shares), nan for no values."""
    told = np.full((len(counts), len(shares)), np.nan)
    for place, row in enumerate(counts):
        filled = np.flatnonzero(row)
        if not len(filled):
            continue
        come = np.cumsum(row[filled]) / row.sum()
        before = come - row[filled] / row.sum()
        cell = np.minimum(np.searchsorted(come, shares - 1e-12), len(filled) - 1)
        within = np.clip((shares - before[cell]) / (come[cell] - before[cell]), 0, 1)
        low, high = edges[place, filled[cell]], edges[place, filled[cell] + 1]
        told[place] = low + within * (high - low)
    return told


def categories_of(
    columns: Mapping[str, np.ndarray], least: int = 1
) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """How often each value of each column occurs, and how many rows hold values too rare to be named.

    columns: of texts, None where missing. A rest of fewer than `least` rows is not told either: 0.
    """
    counts: dict[str, dict[str, int]] = {}
    others: dict[str, int] = {}
    for name, values in columns.items():
        found, times = np.unique([value for value in values if value is not None], return_counts=True)
        counts[name] = {str(v): int(n) for v, n in zip(found, times, strict=True) if n >= least}
        rest = int(times.sum()) - sum(counts[name].values())
        others[name] = rest if rest >= least else 0
    return counts, others


def join_categories(parts: Sequence[Counts]) -> dict[str, dict[str, int]]:
    """The counts of all rows: column → value → rows, values in sorted order."""
    joined: dict[str, dict[str, int]] = {}
    for part in parts:
        for name, counts in part.items():
            held = joined.setdefault(name, {})
            for value, rows in counts.items():
                held[value] = held.get(value, 0) + rows
    return {name: dict(sorted(held.items())) for name, held in joined.items()}


def target_sums_of(codes: np.ndarray, y: np.ndarray, weight: np.ndarray, cards: int, least: int = 1) -> np.ndarray:
    """Σ w and Σ w y of the rows of each category, shape (2, cards); 0 where fewer than `least` rows have it.

    codes: of one column, -1 for missing. Silos' sums are added up: Σ w y / Σ w is then the mean of the pooled rows.
    """
    known = codes >= 0
    told = np.bincount(codes[known], minlength=cards) >= least
    sums = [np.bincount(codes[known], weights=part[known], minlength=cards) for part in (weight, weight * y)]
    return np.where(told, np.stack(sums), 0.0)


def disagreeing(histograms: Mapping[str, np.ndarray], edges: np.ndarray, factor: float = 4.0) -> dict[str, list[int]]:
    """Silo → the columns that look to be in other units there than everywhere else.

    Such a column's middle 80 % lies wholly outside that of every other silo, its median more than `factor` times theirs
    or less than a `factor`-th of it. At least 3 silos must tell of it.
    """
    shares = np.array([0.1, 0.5, 0.9])
    told = {silo: quantiles_of(counts, edges, shares) for silo, counts in histograms.items()}
    found: dict[str, list[int]] = {}
    for silo, mine in told.items():
        for place, (low, middle, high) in enumerate(mine):
            others = np.array([theirs[place] for name, theirs in told.items() if name != silo])
            others = others[np.isfinite(others).all(axis=1)] if len(others) else others
            if not np.isfinite(middle) or len(others) < 2:
                continue
            apart = low > others[:, 2].max() or high < others[:, 0].min()
            with np.errstate(divide="ignore"):
                ratio = np.abs(np.log(np.abs(middle) / np.maximum(np.abs(others[:, 1]), 1e-300)))
            if apart and ratio.min() > np.log(factor):
                found.setdefault(silo, []).append(place)
    return found
