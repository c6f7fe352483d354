"""Moments as steps: a grid of months, days or hours that every series stands on."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

DAY = 86_400e9  # nanoseconds
MONTH = 30.436875 * DAY
YEAR = 12 * MONTH


@dataclass(frozen=True)
class Calendar:
    """Moments as whole numbers of steps. months: a step is this many months; 0: it is `spacing` long.

    dates: moments are datetime64 and counted in nanoseconds; else they are plain numbers.
    """

    dates: bool
    origin: float = 0.0
    spacing: float = 1.0
    months: int = 0

    @classmethod
    def learn(cls, times: pd.Series) -> Self:
        """From the moments of the training rows."""
        dates = times.dtype.kind == "M"
        raw = _raw(times)
        known = np.unique(raw[np.isfinite(raw)])
        if len(known) < 2:
            return cls(dates, float(known[0]) if len(known) else 0.0, DAY if dates else 1.0)
        usual = float(np.median(np.diff(known)))
        if dates and usual > 0.85 * MONTH:
            return cls(dates, months=max(1, round(usual / MONTH)))
        span = known[-1] - known[0]
        return cls(dates, float(known[0]), float(span / max(1, round(span / usual))))

    def ticks(self, times: pd.Series) -> np.ndarray:
        """The step of each moment, float64, nan where it is missing."""
        raw = _raw(times)
        if not self.months:
            return np.round((raw - self.origin) / self.spacing)
        moments = pd.DatetimeIndex(times)
        months = (moments.year * 12 + moments.month - 1).to_numpy(dtype=np.float64)
        return np.floor(months / self.months)

    def moments(self, ticks: np.ndarray) -> np.ndarray:
        """When each step begins, datetime64[ns], for a calendar of dates."""
        if not self.months:
            return np.asarray((self.origin + ticks * self.spacing).astype(np.int64).astype("datetime64[ns]"))
        months = np.asarray(ticks * self.months, dtype=np.int64) - 1970 * 12
        return np.asarray(months.astype("datetime64[M]").astype("datetime64[ns]"))

    def seasons(self, season: int) -> tuple[tuple[str, int], ...]:
        """The longer seasons above one of `season` steps, by name and steps: a week of hours, a year of days in whole
        weeks, so that the weekday stays. None where there are no dates."""
        if not self.dates or self.months:
            return ()
        longer = (("week", 7), ("year", 364))
        steps = ((name, round(days * DAY / self.spacing)) for name, days in longer)
        return tuple((name, count) for name, count in steps if count > 1.5 * season)

    def phases(self, ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far through the year and the week each step is, both from 0 to 1; 0 where there are no dates."""
        if not self.dates:
            return np.zeros(len(ticks)), np.zeros(len(ticks))
        if self.months:
            return (ticks * self.months % 12) / 12, np.zeros(len(ticks))
        moments = self.origin + ticks * self.spacing
        return moments % YEAR / YEAR, moments % (7 * DAY) / (7 * DAY)


def _raw(times: pd.Series) -> np.ndarray:
    """Moments as float64: nanoseconds, or the numbers that they are; nan where missing."""
    if times.dtype.kind != "M":
        return times.to_numpy(dtype=np.float64)
    moments = times.to_numpy(dtype="datetime64[ns]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
