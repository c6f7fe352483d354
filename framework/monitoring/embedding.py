"""All columns together: how far live rows are from the training rows as points, without a training row kept.

The maximum mean discrepancy (Gretton, Borgwardt, Rasch, Schölkopf, Smola 2012) of a Gaussian kernel, by random Fourier
features (Rahimi & Recht 2007; for tests Zhao & Meng 2015). What is kept of the training rows is the mean of the
features and two moments of their spread. It sees what columns one by one do not show: a dependence that is gone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framework.data.column import Column

if TYPE_CHECKING:
    from framework.monitoring.reference import Summary

FREQUENCIES = 128  # twice as many features, a cosine and a sine of each
MOST_PAIRS = 1_000  # rows whose distances tell the kernel's width
MOST_CATEGORIES = 20  # of a column, the first ones: the others are one point
MOST_POINTS = 10_000  # rows that are looked at as points
MOST_AXES = 500  # of a point; of wider tables the columns are only looked at one by one
EDGE = 0.005  # ranks are kept this far from 0 and 1


@dataclass(frozen=True)
class Embedding:
    """The training rows' mean in the features' space.

    mean: shape (256,). rows: how many. width: the kernel's, the median distance of two rows. dimensions: of a point.
    trace, squares: tr(Σ) and tr(Σ²) of the features' covariance. seed: draws the frequencies again.
    """

    mean: tuple[float, ...]
    rows: int
    width: float
    dimensions: int
    trace: float
    squares: float
    seed: int

    @classmethod
    def of(cls, points: np.ndarray, *, seed: int = 0) -> "Embedding":
        """points: shape (rows, dimensions), two rows at the least."""
        random = np.random.default_rng(seed)
        some = points[random.choice(len(points), min(len(points), MOST_PAIRS), replace=False)]
        half = len(some) // 2
        apart = np.sqrt(((some[:half] - some[half : 2 * half]) ** 2).sum(axis=1))
        width = float(np.median(apart)) or 1.0
        features = _features(points, width, seed)
        covariance = np.cov(features, rowvar=False)
        mean = tuple(features.mean(axis=0).tolist())
        squares = float((covariance**2).sum())
        return cls(mean, len(points), width, points.shape[1], float(np.trace(covariance)), squares, seed)

    def distance(self, points: np.ndarray) -> "Distance":
        """How far other points are. points: shape (rows, dimensions), one row at the least.

        Where nothing has changed the squared distance is a sum of χ² by the eigenvalues of Σ; the p-value takes the
        scaled χ² of the same mean and variance (Satterthwaite 1946), for rows that are independent of each other.
        """
        from scipy.special import chdtrc

        gap = _features(points, self.width, self.seed).mean(axis=0) - np.array(self.mean)
        squared = float(gap @ gap)
        if self.trace <= 0 or self.squares <= 0:
            return Distance(math.sqrt(squared), 1.0 if squared < 1e-12 else 0.0)
        scale = (1 / len(points) + 1 / self.rows) * self.squares / self.trace
        return Distance(math.sqrt(squared), float(chdtrc(self.trace**2 / self.squares, squared / scale)))


@dataclass(frozen=True)
class Distance:
    """mmd: from 0, the same, to √2, nothing in common. p_value: of "nothing has changed"."""

    mmd: float
    p_value: float


def axes_of(columns: Mapping[str, tuple[Column, "Summary"]]) -> int:
    """How many axes a point has."""
    return sum(min(len(summary.counts), MOST_CATEGORIES) or 1 for _, summary in columns.values())


def embedded(columns: Mapping[str, tuple[Column, "Summary"]], measured: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows as points, shape (rows, dimensions): numbers by the normal score of their rank in training, categories as
    one axis each; a missing value lies in the middle. measured: every column's values, as `measure` gives them; of more
    than 10,000 rows so many are taken, evenly spaced."""
    from scipy.special import ndtri

    axes: list[np.ndarray] = []
    rows = len(next(iter(measured.values())))
    taken = np.linspace(0, rows - 1, min(rows, MOST_POINTS)).astype(np.int64)
    for name, (column, summary) in columns.items():
        values = measured[name][taken]
        if column.kind == "category":
            axes += [(values == code).astype(np.float64) for code in range(min(len(summary.counts), MOST_CATEGORIES))]
            continue
        edges, first = np.unique(np.array(summary.quantiles), return_index=True)
        if not len(edges):
            continue
        rank = np.interp(values, edges, np.array(summary.below)[first], left=EDGE, right=1 - EDGE)
        axes.append(np.nan_to_num(ndtri(np.clip(rank, EDGE, 1 - EDGE))))
    return np.column_stack(axes) if axes else np.zeros((len(taken), 1))


def _features(points: np.ndarray, width: float, seed: int) -> np.ndarray:
    """shape (rows, 256), each row of length 1: the mean of a row's product with another's is the kernel of the two."""
    drawn = np.random.default_rng(seed + 1).normal(0, 1 / width, (points.shape[1], FREQUENCIES))
    phase = points @ drawn
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / math.sqrt(FREQUENCIES)
