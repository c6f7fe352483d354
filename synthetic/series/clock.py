"""The time column of series as numbers, and where in its cycle (a year, a week, a day) each time falls."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from synthetic.codec import Numbers, codec_from_json, learn_numbers
from synthetic.columns import DAY, learn_codec
from synthetic.series.error import SeriesError

HOUR = 3_600.0  # seconds
USUAL = 0.8  # of the gaps, that are alike where times but for a few are regular
CYCLES = 2  # that a series must span before a cycle is learned


@dataclass(frozen=True)
class Clock:
    """Times as numbers: months where all fall on one day of a month, else days, seconds, or the numbers they are.

    codec: of the time column. step: between two times; 0 where they are irregular. slots: of a cycle, each `width`
    long; 0: there is none. period: usual steps that a cycle takes; 0: there is no usual one, or no cycle. months: times
    lie `offset` nanoseconds after the begin of a month, or before its end.
    """

    codec: Numbers
    step: float
    slots: int = 0
    width: float = 1.0
    period: int = 0
    months: bool = False
    ends: bool = False
    offset: int = 0

    @classmethod
    def learn(cls, column: pd.Series, codes: np.ndarray, period: int | None) -> Self:
        """Of times in order within each series. codes: of the series, int64, shape (rows,). period: of a cycle, in
        steps, where the calendar does not say so. Raises SeriesError for times that are neither numbers nor dates."""
        codec = _codec(column)
        months = _months(codec.numbers(column), codec) or {}
        read = cls(codec, 0.0, **months)
        values = read.numbers(column)
        same = np.diff(codes) == 0
        gaps = np.diff(values)[same]
        rounding = 0.0 if codec.unit or codec.decimals <= 0 else 2 * 10.0**-codec.decimals
        regular = bool(len(gaps)) and float(gaps.max() - gaps.min()) <= rounding
        step = float(gaps.mean()) if regular else 0.0
        slots, width = read._calendar()
        if period is not None:
            if not regular or period < 2:
                raise SeriesError(
                    f"a period of {period} was asked for; it takes 2 steps or more, and times that follow one another "
                    f"at equal steps: those of {codec.name!r} do{' not' * (not regular)}."
                )
            slots, width = period, step
        usual = float(np.median(gaps)) if len(gaps) and np.isclose(gaps, np.median(gaps)).mean() >= USUAL else step
        around = round(slots * width / usual) if usual else 0
        ends = np.flatnonzero(np.append(np.diff(codes) != 0, True))
        span = float(np.median(values[ends] - values[np.append(0, ends[:-1] + 1)]))
        if not slots or span + usual < CYCLES * slots * width or (usual and around < 2):
            slots = around = 0
        return cls(codec, step, slots, width, around, **months)

    @property
    def whole(self) -> bool:
        """Whether times are whole numbers of months, days or seconds."""
        return bool(self.codec.unit)

    def numbers(self, column: pd.Series) -> np.ndarray:
        """Times as float64, shape (rows,)."""
        values = self.codec.numbers(column)
        if not self.months:
            return values
        there = (values * self.codec.unit).astype(np.int64) + (self.offset if self.ends else 0)
        return np.asarray(_month(there - (1 if self.ends else 0)), dtype=np.float64)

    def column(self, values: np.ndarray) -> pd.Series:
        """What `numbers` read."""
        if self.months:
            month = values.round().astype(np.int64) + (1 if self.ends else 0)
            start = month.astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)
            values = (start + (-self.offset if self.ends else self.offset)) / self.codec.unit
        elif self.whole:
            values = values.round()
        elif self.codec.decimals < 6:
            values = np.round(values, self.codec.decimals)
        return self.codec.column(values)

    def slot(self, values: np.ndarray) -> np.ndarray:
        """Where in the cycle times fall, int64, of the values' shape, from 0 to slots - 1."""
        if not self.slots:
            return np.zeros(values.shape, dtype=np.int64)
        half = 0.5 if self.width == self.step and not self.whole else 0.0  # steps of rounded numbers
        return np.asarray(np.floor(values / self.width + half), dtype=np.int64) % self.slots

    def _calendar(self) -> tuple[int, float]:
        """How many slots the calendar's cycle has, and how long one is; 0 of them for plain numbers."""
        if not self.codec.unit:
            return 0, 1.0
        if self.months:
            return 12, 1.0
        return (7, 1.0) if self.codec.unit == DAY else (24, HOUR)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "codec": self.codec.to_json()}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        codec = codec_from_json(told["codec"])
        assert isinstance(codec, Numbers)
        return cls(**{**told, "codec": codec})


def _codec(column: pd.Series) -> Numbers:
    name, values = str(column.name), plain(column)
    if values.dtype.kind in "iuf":
        return learn_numbers(name, str(column.dtype), values.astype(np.float64))
    codec = learn_codec(name, column)
    if not isinstance(codec, Numbers) or not codec.unit:
        raise SeriesError(f"column {name!r} tells no time: its values are neither numbers nor dates.")
    return codec


def _months(values: np.ndarray, codec: Numbers) -> dict[str, Any] | None:
    """How dates count months; None where they do not."""
    if not codec.unit:
        return None
    moments = (values * codec.unit).astype(np.int64)
    month = _month(moments)
    if len(np.unique(month)) < 2:
        return None
    start, after = (
        each.astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64) for each in (month, month + 1)
    )
    if len(found := np.unique(moments - start)) == 1:
        return {"months": True, "offset": int(found[0])}
    if len(found := np.unique(after - moments)) == 1:
        return {"months": True, "ends": True, "offset": int(found[0])}
    return None


def _month(nanoseconds: np.ndarray) -> np.ndarray:
    """Months since 1970, int64."""
    return nanoseconds.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
