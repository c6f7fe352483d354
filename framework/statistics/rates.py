"""Intervals of a rate from counts alone, that hold at every look and at any number of rows.

The beta mixture of the binomial likelihood ratio: Robbins 1970, "Statistical methods related to the law of the iterated
logarithm", Annals of Mathematical Statistics 41. With k events of n rows it is M(p) = B(k + 1, n - k + 1) /
(p^k (1 - p)^(n - k)), a martingale at the true p, so it ever reaches 1/α with a probability of at most α (Ville 1939).
"""

import math

import numpy as np

from framework.statistics.bootstrap import Interval
from framework.statistics.sequential import OnlineTestError, check_alpha

TINY = 1e-300


def rate_interval(events: int, rows: int, *, alpha: float = 0.05) -> Interval:
    """The rates that so many events of so many rows do not rule out: {p: M(p) < 1/α}, an interval around events / rows.

    All looks together miss the true rate with a probability of at most alpha; 0 … 1 before there are rows.
    """
    from scipy.optimize import brentq

    check_alpha(alpha)
    if not 0 <= events <= rows:
        raise OnlineTestError(f"{events} events of {rows} rows cannot be; pass 0 ≤ events ≤ rows.")
    if not rows:
        return Interval(0.0, 1.0)
    limit, rate = -math.log(alpha), events / rows

    def over(p: float) -> float:
        return float(log_mixture(np.array(events), np.array(rows), p)) - limit

    low = brentq(over, TINY, rate, xtol=1e-16) if events else 0.0
    high = brentq(over, rate, 1 - 1e-16, xtol=1e-16) if events < rows and over(1 - 1e-16) > 0 else 1.0
    return Interval(float(low), float(high))


def log_mixture(events: np.ndarray, rows: np.ndarray, p: float) -> np.ndarray:
    """log M(p), elementwise: above log(1/α) the rate p is ruled out."""
    from scipy.special import betaln, xlog1py, xlogy

    missed = rows - events
    return np.asarray(betaln(events + 1, missed + 1) - xlogy(events, p) - xlog1py(missed, -p))
