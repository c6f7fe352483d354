"""The test of two ROC areas on the same rows (DeLong, DeLong, Clarke-Pearson 1988), by ranks (Sun & Xu 2014).

"Fast implementation of DeLong's algorithm for comparing the areas under correlated receiver operating characteristic
curves", IEEE Signal Processing Letters 21 (11). O(n log n) instead of O(positives × negatives).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Areas:
    """ROC areas, shape (k,), and the covariance of their errors, shape (k, k)."""

    area: np.ndarray
    covariance: np.ndarray

    def p_value(self, first: int, second: int) -> float:
        """The two-sided p-value of "these two areas are equal": 1 where the rows are ranked alike; nan where an area
        could not be told."""
        contrast = np.zeros(len(self.area))
        contrast[first] += 1.0
        contrast[second] -= 1.0
        difference = float(contrast @ self.area)
        variance = float(contrast @ self.covariance @ contrast)
        if not math.isfinite(variance):
            return math.nan
        if variance <= 1e-18:
            return 1.0 if abs(difference) < 1e-9 else 0.0
        return math.erfc(abs(difference) / math.sqrt(2 * variance))


def delong(positive: np.ndarray, scores: Sequence[np.ndarray]) -> Areas:
    """The areas of several scores of the same rows. positive: shape (rows,), bool; each of scores: shape (rows,).

    All nan with fewer than two positives or two negatives.
    """
    hits, misses = int(positive.sum()), int((~positive).sum())
    if min(hits, misses) < 2:
        return Areas(np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan))
    above = np.empty((len(scores), hits))  # each positive's share of negatives below it
    below = np.empty((len(scores), misses))  # each negative's share of positives above it
    for place, score in enumerate(scores):
        all_ranks = midranks(score)
        above[place] = (all_ranks[positive] - midranks(score[positive])) / misses
        below[place] = 1 - (all_ranks[~positive] - midranks(score[~positive])) / hits
    covariance = np.atleast_2d(np.cov(above)) / hits + np.atleast_2d(np.cov(below)) / misses
    return Areas(above.mean(axis=1), covariance)


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the mean of theirs, shape (rows,)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])
