"""How sure a score is, and which differences are noise: the bootstrap over rows.

Rows are drawn with replacement: within each class where the answer is a class (so that none is missing), whole series
where there are several (their steps hang together), single rows else. Rows of one group are drawn one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from framework.data.frame import Truth
from framework.metric import SILHOUETTE_ROWS, Metric
from framework.rescoring import Rescore, rescorer

MOST_ROWS = 20_000  # that are resampled; of a larger table a part is, and the spread scaled down to match
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
    scores, _ = _resampled(metric, truth, [predicted], seed, repeats)
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
    differences, seen = _resampled(metric, truth, [best, other], seed, repeats)
    known = differences[np.isfinite(differences)]
    if len(known) == 0 or not np.isfinite(seen):
        return float("nan")
    tolerance = 1e-12 * max(1.0, abs(seen))
    farther = np.count_nonzero(np.abs(known - seen) >= abs(seen) - tolerance)
    return float((1 + farther) / (1 + len(known)))


def _resampled(
    metric: Metric, truth: Truth, predicted: Sequence[np.ndarray], seed: int, repeats: int
) -> tuple[np.ndarray, float]:
    """The score on each resample, and on all rows; of two predictions the difference of their scores.

    Resampled from m of n rows, scores spread √(n/m) too far: they are drawn in around the score on all rows.
    """
    random = np.random.default_rng(seed)
    whole = _difference([rescorer(metric, truth, each) for each in predicted])
    units = _units(metric, truth)
    rows = sum(map(len, units))
    full = whole(np.concatenate(units))
    if rows <= MOST_ROWS:
        draw = _drawing(truth, units)
        return np.array([whole(draw(random)) for _ in range(repeats)]), full
    part = _part(truth, units, random)
    few = truth.take(part)
    score = _difference([rescorer(metric, few, each[part]) for each in predicted])
    draw = _drawing(few, _units(metric, few))
    scores = np.array([score(draw(random)) for _ in range(repeats)])
    return full + (scores - score(np.arange(len(part)))) * np.sqrt(len(part) / rows), full


def _difference(scores: Sequence[Rescore]) -> Rescore:
    if len(scores) == 1:
        return scores[0]
    return lambda rows: scores[0](rows) - scores[1](rows)


def _units(metric: Metric, truth: Truth) -> list[np.ndarray]:
    """What is drawn from: the rows of each series, of each class, or all of them; every row once."""
    if metric.name == "silhouette":
        return [np.arange(min(len(truth), SILHOUETTE_ROWS))]
    if _serial(truth):
        return _members(np.asarray(truth.series))
    if truth.classes and truth.y is not None:
        return _members(truth.y)
    return [np.arange(len(truth))]


def _serial(truth: Truth) -> bool:
    return truth.series is not None and len(np.unique(truth.series)) > 1


def _members(codes: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _part(truth: Truth, units: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """About MOST_ROWS rows, none twice: whole series, or each class's share and at least one."""
    share = MOST_ROWS / sum(map(len, units))
    if _serial(truth):
        chosen = random.permutation(len(units))[: max(2, round(share * len(units)))]
        return np.concatenate([units[place] for place in chosen])
    return np.concatenate([random.choice(u, max(1, round(share * len(u))), replace=False) for u in units])


def _drawing(truth: Truth, units: list[np.ndarray]) -> Draw:
    """One resample: as many whole series as there are, or as many rows of each class."""
    if _serial(truth):
        return lambda random: np.concatenate([units[place] for place in random.integers(0, len(units), len(units))])
    return lambda random: np.concatenate([rows[random.integers(0, len(rows), len(rows))] for rows in units])
