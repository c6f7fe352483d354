"""How sure a score is, and which differences are noise: the bootstrap over rows (Efron & Tibshirani 1993)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework.data.frame import Truth
from framework.metric import Metric
from framework.rescoring import rescorer
from framework.statistics.resampling import Resampling

REPEATS = 500
MOST_ROWS = 10_000  # that are resampled; of a larger table a part is, and the spread scaled to match


@dataclass(frozen=True)
class Interval:
    """Where the score lies with the level's probability; nan where it could not be told."""

    low: float
    high: float


@dataclass(frozen=True)
class Resampled:
    """Several predictions' scores on the same resamples.

    scores: shape (resamples, predictions). full: on all rows, shape (predictions,).
    """

    scores: np.ndarray
    full: np.ndarray

    def interval(self, column: int = 0, *, level: float = 0.95) -> Interval:
        """The percentile interval (ch. 13) of one prediction's score."""
        known = self.scores[np.isfinite(self.scores[:, column]), column]
        if len(known) == 0:
            return Interval(np.nan, np.nan)
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(low), float(high))

    def p_value(self, first: int, second: int) -> float:
        """The two-sided p-value of "these two score the same" (ch. 16): the differences moved to zero.

        (1 + #{|d* - d| ≥ |d|}) / (1 + resamples), d the difference seen; nan where a score could not be told.
        """
        seen = float(self.full[first] - self.full[second])
        differences = self.scores[:, first] - self.scores[:, second]
        known = differences[np.isfinite(differences)]
        if len(known) == 0 or not np.isfinite(seen):
            return float("nan")
        tolerance = 1e-12 * max(1.0, abs(seen))
        farther = np.count_nonzero(np.abs(known - seen) >= abs(seen) - tolerance)
        return float((1 + farther) / (1 + len(known)))


def interval(
    metric: Metric, truth: Truth, predicted: np.ndarray, *, seed: int, level: float = 0.95, repeats: int = REPEATS
) -> Interval:
    """The percentile bootstrap interval of a score."""
    return resample(metric, truth, [predicted], seed=seed, repeats=repeats).interval(level=level)


def noise(
    metric: Metric, truth: Truth, best: np.ndarray, other: np.ndarray, *, seed: int, repeats: int = REPEATS
) -> float:
    """The two-sided p-value of "these two score the same", by the paired bootstrap of their difference.

    best, other: two contenders' predictions of the same rows, in the same order.
    1 for equal predictions, 1 / (1 + repeats) at the least; nan where a score could not be told.
    """
    return resample(metric, truth, [best, other], seed=seed, repeats=repeats).p_value(0, 1)


def resample(
    metric: Metric, truth: Truth, predictions: Sequence[np.ndarray], *, seed: int, repeats: int = REPEATS
) -> Resampled:
    """The scores of several predictions of the same rows on the same resamples.

    Resampled from m of n rows, scores spread √(n/m) too far: they are drawn in around the score on all rows.
    """
    if len(truth) == 0:
        return Resampled(np.empty((0, len(predictions))), np.full(len(predictions), np.nan))
    random = np.random.default_rng(seed)
    drawing = Resampling.of(metric, truth)
    once = np.ones((1, drawing.rows))
    whole = [rescorer(metric, truth, each) for each in predictions]
    full = np.array([score(once)[0] for score in whole])
    if drawing.rows <= MOST_ROWS:
        drawn = [np.column_stack([score(counts) for score in whole]) for counts in drawing.draws(random, repeats)]
        return Resampled(np.concatenate(drawn), full)
    part = drawing.part(random, MOST_ROWS)
    few = truth.take(part)
    scorers = [rescorer(metric, few, each[part]) for each in predictions]
    smaller = Resampling.of(metric, few)
    drawn = [np.column_stack([score(counts) for score in scorers]) for counts in smaller.draws(random, repeats)]
    centre = np.array([score(np.ones((1, len(part))))[0] for score in scorers])
    scores = full + (np.concatenate(drawn) - centre) * np.sqrt(len(part) / drawing.rows)
    return Resampled(scores, full)
