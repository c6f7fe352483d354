"""How sure a score is, and which differences are noise: the bootstrap over rows.

Rows are drawn with replacement: within each class where the answer is a class (so that none is missing), whole series
where there are several (their steps hang together), single rows else. Rows of one group are drawn one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from framework.data.frame import Truth
from framework.metric import SILHOUETTE_ROWS, Metric
from framework.rescoring import rescorer

MOST_ROWS = 20_000  # of one resample; a larger table is drawn from in part, and the spread scaled down to match
Draw = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Interval:
    """Where the score lies with the level's probability; nan where it could not be told."""

    low: float
    high: float


def interval(
    metric: Metric, truth: Truth, predicted: np.ndarray, *, seed: int, level: float = 0.95, repeats: int = 500
) -> Interval:
    """The percentile bootstrap interval of a score (Efron & Tibshirani 1993, ch. 13)."""
    if len(truth) == 0:
        return Interval(np.nan, np.nan)
    scores = _spread(rescorer(metric, truth, predicted), *_drawing(metric, truth), seed, repeats)
    known = scores[np.isfinite(scores)]
    if len(known) == 0:
        return Interval(np.nan, np.nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def noise(metric: Metric, truth: Truth, best: np.ndarray, other: np.ndarray, *, seed: int, repeats: int = 500) -> float:
    """The two-sided p-value of "these two score the same": paired bootstrap of the difference, moved to zero.

    best, other: two contenders' predictions of the same rows, in the same order.
    Returns (1 + #{|d* - d| ≥ |d|}) / (1 + repeats), d the difference seen (Efron & Tibshirani 1993, ch. 16): 1 for
    equal predictions, 1 / (1 + repeats) at the least; nan where a score could not be told.
    """
    if len(truth) == 0:
        return float("nan")
    first, second = rescorer(metric, truth, best), rescorer(metric, truth, other)
    draw, size, rows = _drawing(metric, truth)
    seen = first(np.arange(rows)) - second(np.arange(rows))
    differences = _spread(lambda drawn: first(drawn) - second(drawn), draw, size, rows, seed, repeats)
    known = differences[np.isfinite(differences)]
    if len(known) == 0 or not np.isfinite(seen):
        return float("nan")
    tolerance = 1e-12 * max(1.0, abs(seen))
    farther = np.count_nonzero(np.abs(known - seen) >= abs(seen) - tolerance)
    return float((1 + farther) / (1 + len(known)))


def _spread(
    score: Callable[[np.ndarray], float], draw: Draw, size: int, rows: int, seed: int, repeats: int
) -> np.ndarray:
    """The resampled scores. Drawn from `size` of `rows` rows, they spread √(rows/size) too far from the full score."""
    random = np.random.default_rng(seed)
    scores = np.array([score(draw(random)) for _ in range(repeats)])
    if size < rows:
        full = score(np.arange(rows))
        scores = full + (scores - full) * np.sqrt(size / rows)
    return scores


def _drawing(metric: Metric, truth: Truth) -> tuple[Draw, int, int]:
    """How one resample is drawn, how many rows it has, and how many there are."""
    if metric.name == "silhouette":
        rows = min(len(truth), SILHOUETTE_ROWS)
        return (lambda random: random.integers(0, rows, rows)), rows, rows
    rows, size = len(truth), min(len(truth), MOST_ROWS)
    if truth.series is not None and len(np.unique(truth.series)) > 1:
        return _whole_series(truth.series, size), size, rows
    if truth.classes and truth.y is not None:
        return _within_classes(truth.y, size), size, rows
    return (lambda random: random.integers(0, rows, size)), size, rows


def _whole_series(series: np.ndarray, size: int) -> Draw:
    order = np.argsort(series, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(series[order])) + 1)
    count = max(1, round(len(members) * size / len(series)))

    def draw(random: np.random.Generator) -> np.ndarray:
        return np.concatenate([members[chosen] for chosen in random.integers(0, len(members), count)])

    return draw


def _within_classes(y: np.ndarray, size: int) -> Draw:
    members = [np.flatnonzero(y == code) for code in np.unique(y)]
    counts = [max(1, round(len(rows) * size / len(y))) for rows in members]

    def draw(random: np.random.Generator) -> np.ndarray:
        chosen = zip(members, counts, strict=True)
        return np.concatenate([rows[random.integers(0, len(rows), count)] for rows, count in chosen])

    return draw
