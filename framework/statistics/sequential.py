"""Whether two arms of an online test differ, told at every look: intervals and p-values that may be peeked at.

The normal mixture: "Always Valid Inference: Continuous Monitoring of A/B Tests" (Johari, Koomen, Pekelis, Walsh 2022,
Operations Research 70) and, of the same boundary for outcomes of any distribution, "Time-uniform central limit theory
and asymptotic confidence sequences" (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, Annals of Statistics 52).
It holds in the limit of many rows, from counts and sums alone. `bounded.py` holds at any number of rows.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from cluster.user_error import UserError
from framework.statistics.bootstrap import Interval

LEAST_ROWS = 50  # of an arm, before its variance is believed
LEAST_EVENTS = 10  # of an arm of yes or no, and as many non-events: a rate of 0 has no variance to go by


class OnlineTestError(UserError):
    """An online test that cannot be planned or read with these numbers."""


@dataclass(frozen=True)
class Arm:
    """What a test needs to know of one arm's outcomes. Arms of several replicas, days or files are added.

    rows: how many outcomes. mean: theirs. squares: the sum of their squared distances from it.
    events: of outcomes that are yes or no, how many were yes; None for others.
    """

    rows: int = 0
    mean: float = 0.0
    squares: float = 0.0
    events: int | None = None

    @classmethod
    def of(cls, outcomes: np.ndarray) -> "Arm":
        """outcomes: shape (rows,), numbers; booleans are counted as yes or no."""
        if outcomes.dtype.kind == "b":
            return cls.counted(int(np.count_nonzero(outcomes)), len(outcomes))
        values = np.asarray(outcomes, dtype=np.float64)
        if not np.isfinite(values).all():
            raise OnlineTestError("an arm holds outcomes that are missing or infinite. Leave them out, in both arms.")
        mean = float(values.mean()) if len(values) else 0.0
        return cls(len(values), mean, float(((values - mean) ** 2).sum()))

    @classmethod
    def counted(cls, events: int, rows: int) -> "Arm":
        """So many yes of so many rows."""
        if not 0 <= events <= rows:
            raise OnlineTestError(f"{events} events of {rows} rows cannot be; pass 0 ≤ events ≤ rows.")
        rate = events / rows if rows else 0.0
        return cls(rows, rate, rows * rate * (1 - rate), events)

    def __add__(self, other: "Arm") -> "Arm":
        """Both together, as one pass over all rows would give it (Chan, Golub, LeVeque 1983)."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        rows, apart = self.rows + other.rows, other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.rows * other.rows / rows
        events = None if self.events is None or other.events is None else self.events + other.events
        return Arm(rows, self.mean + apart * other.rows / rows, squares, events)

    @property
    def enough(self) -> bool:
        """Whether its variance can be believed."""
        few = self.events is not None and min(self.events, self.rows - self.events) < LEAST_EVENTS
        return self.rows >= LEAST_ROWS and not few

    @property
    def error(self) -> float:
        """The squared standard error of its mean."""
        return self.squares / (self.rows - 1) / self.rows


@dataclass(frozen=True)
class Look:
    """What one look at a running test says, however many looks there were before.

    difference: the treated arm's mean less the control's. interval: of it, at 1 - alpha for all looks together.
    p_value: of "both arms are alike"; below alpha at any look with a probability of at most alpha where they are.
    """

    control: Arm
    treated: Arm
    difference: float
    interval: Interval
    p_value: float
    alpha: float

    @property
    def decided(self) -> bool:
        """Whether the arms differ by more than chance."""
        return self.p_value < self.alpha

    def after(self, earlier: "Look") -> "Look":
        """The same with what an earlier look of this test ruled out: the intervals' intersection, the smaller p."""
        low, high = max(self.interval.low, earlier.interval.low), min(self.interval.high, earlier.interval.high)
        p_value = min(self.p_value, earlier.p_value)
        return replace(self, interval=Interval(low, high), p_value=p_value)

    def __str__(self) -> str:
        low, high = self.interval.low, self.interval.high
        verdict = "they differ" if self.decided else "not told apart"
        rows = f"{self.control.rows:,} and {self.treated.rows:,} outcomes"
        return (
            f"{rows}: difference {self.difference:+.4g} ({low:+.4g} … {high:+.4g}), p = {self.p_value:.3g}: {verdict}"
        )


def look(control: Arm, treated: Arm, *, effect: float, alpha: float = 0.05) -> Look:
    """The difference of two arms' means, now: call it after every outcome, or when you like.

    effect: the size of a difference worth finding, in the outcomes' units, fixed before the test began: it is the
    scale τ of the mixture. A wrong one costs rows, never false alarms.
    An arm of fewer than 50 rows, or 10 events and non-events, says nothing: p = 1, an interval without ends.
    With V the squared standard error of the difference D: Λ = √(V / (V + τ²)) exp(τ² D² / (2 V (V + τ²))), p = 1/Λ, and
    the interval is D ± √(V (V + τ²) / τ² (2 log(1/α) + log((V + τ²) / V))).
    Seen: two rates of 10 %, 20,000 outcomes, a look after every 50: 2.8 % false alarms at α = 5 % (a plain test at
    each look: 43 %). A lift from 10 % to 12 %, for which one look at 7,678 outcomes has a power of 80 %: half of the
    runs had found it by 0.98 times these outcomes, 80 % by 1.6 times.
    """
    check_alpha(alpha)
    if not (math.isfinite(effect) and effect > 0):
        raise OnlineTestError(f"effect is {effect:g}; pass the size of a difference worth finding, above 0.")
    difference = treated.mean - control.mean
    if not (control.enough and treated.enough):
        return Look(control, treated, difference, Interval(-math.inf, math.inf), 1.0, alpha)
    variance = control.error + treated.error
    if variance <= 0:  # every outcome of an arm is the same
        return Look(control, treated, difference, Interval(-math.inf, math.inf), 1.0, alpha)
    radius = mixture_radius(variance, effect=effect, alpha=alpha)
    p_value = min(1.0, math.exp(-_log_ratio(difference, variance, effect)))
    return Look(control, treated, difference, Interval(difference - radius, difference + radius), p_value, alpha)


def mixture_radius(variance: float, *, effect: float, alpha: float) -> float:
    """Half the width of the interval, where the difference has this squared standard error."""
    wide = variance + effect**2
    return math.sqrt(variance * wide / effect**2 * (2 * math.log(1 / alpha) + math.log(wide / variance)))


def check_alpha(alpha: float) -> None:
    """Raises OnlineTestError for what is no share of false alarms."""
    if not 0 < alpha < 1:
        raise OnlineTestError(f"alpha is {alpha:g}; it is the share of false alarms allowed, between 0 and 1.")


def _log_ratio(difference: float, variance: float, effect: float) -> float:
    """log Λ: how much likelier the difference is, averaged over normal effects of this size, than without an effect."""
    wide = variance + effect**2
    return 0.5 * math.log(variance / wide) + effect**2 * difference**2 / (2 * variance * wide)
