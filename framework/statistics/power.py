"""How many outcomes an online test needs, and what it can find with those it has."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from framework.statistics.sequential import OnlineTestError, check_alpha, mixture_radius

MOST_ROWS = 10**12


@dataclass(frozen=True)
class Size:
    """Outcomes of each arm. control, treated: where the test is read once, at its end.

    peeked_control, peeked_treated: where it may be read at any time (`sequential.look`): by then it has found the
    effect with the power asked for, mostly long before.
    """

    control: int
    treated: int
    peeked_control: int
    peeked_treated: int


def size_for_means(
    effect: float, deviation: float, *, power: float = 0.8, alpha: float = 0.05, ratio: float = 1.0
) -> Size:
    """Outcomes needed to find a difference of means of this size, two-sided.

    deviation: the outcomes' standard deviation. ratio: treated rows for each control row.
    """
    if not deviation > 0:
        raise OnlineTestError(f"deviation is {deviation:g}; pass the outcomes' standard deviation, above 0.")
    return _size(effect, deviation**2, deviation**2, power, alpha, ratio)


def size_for_rates(rate: float, effect: float, *, power: float = 0.8, alpha: float = 0.05, ratio: float = 1.0) -> Size:
    """Outcomes needed to find that a rate is `rate + effect` instead, two-sided; a fall has a negative effect."""
    if not (0 < rate < 1 and 0 < rate + effect < 1):
        raise OnlineTestError(f"a rate of {rate:g} cannot become {rate + effect:g}; both lie between 0 and 1.")
    other = rate + effect
    return _size(effect, rate * (1 - rate), other * (1 - other), power, alpha, ratio)


def power_for_means(effect: float, deviation: float, *, rows: int, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """The chance of finding such a difference of means, read once. rows: of the control arm."""
    check_alpha(alpha)
    return _power(effect, deviation**2 * (1 + 1 / ratio) / rows, _quantile(1 - alpha / 2))


def power_for_rates(rate: float, effect: float, *, rows: int, alpha: float = 0.05, ratio: float = 1.0) -> float:
    """The chance of finding that a rate is `rate + effect` instead, read once. rows: of the control arm."""
    check_alpha(alpha)
    other = rate + effect
    return _power(effect, (rate * (1 - rate) + other * (1 - other) / ratio) / rows, _quantile(1 - alpha / 2))


def _size(effect: float, variance: float, treated: float, power: float, alpha: float, ratio: float) -> Size:
    check_alpha(alpha)
    if not math.isfinite(effect) or effect == 0:
        raise OnlineTestError(f"effect is {effect:g}; no number of rows finds a difference of nothing.")
    if not alpha < power < 1:
        raise OnlineTestError(f"power is {power:g}; it lies between alpha ({alpha:g}) and 1.")
    if not ratio > 0:
        raise OnlineTestError(f"ratio is {ratio:g}; it is the treated rows for each control row, above 0.")
    once = _quantile(1 - alpha / 2)

    def read_once(rows: float) -> float:
        return _power(effect, (variance + treated / ratio) / rows, once)

    def peeked(rows: float) -> float:
        error = (variance + treated / ratio) / rows
        return _power(effect, error, mixture_radius(error, effect=abs(effect), alpha=alpha) / math.sqrt(error))

    needed = [_solve(chance, power, effect) for chance in (read_once, peeked)]
    (one, other), (last, last_other) = ((math.ceil(rows), math.ceil(rows * ratio)) for rows in needed)
    return Size(one, other, last, last_other)


def _solve(chance: Callable[[float], float], power: float, effect: float) -> float:
    """The rows at which the chance reaches the power."""
    from scipy.optimize import brentq

    if chance(MOST_ROWS) < power:
        raise OnlineTestError(
            f"an effect of {effect:g} asks for more than {MOST_ROWS:.0e} rows. Look for a larger one."
        )
    return float(math.exp(brentq(lambda size: chance(math.exp(size)) - power, -30.0, math.log(MOST_ROWS))))


def _power(effect: float, variance: float, threshold: float) -> float:
    """P(|D| > threshold √V), D normal around the effect with variance V."""
    from scipy.special import ndtr

    away = abs(effect) / math.sqrt(variance)
    return float(ndtr(away - threshold) + ndtr(-away - threshold))


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(level))
