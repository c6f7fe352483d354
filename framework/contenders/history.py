"""What each series has been, on a common grid of steps: what a forecast starts from."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from framework.data.frame import Fold
from framework.data.times import season

CARD = "history.json"
VALUES = "history.parquet"
DAY = 86_400e9  # nanoseconds
MONTH = 30.436875 * DAY
YEAR = 12 * MONTH
MOST_CELLS = 50_000_000  # series × steps


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


@dataclass(frozen=True)
class History:
    """The training values of every series, shape (series, steps), gaps carried forward, nan before its first.

    seen: which of them were there, not carried forward. start: the step of the first column. season: m.
    """

    calendar: Calendar
    labels: tuple[str, ...]
    start: int
    season: int
    values: np.ndarray = field(repr=False)
    seen: np.ndarray = field(repr=False)
    time: str
    series: str | None

    @classmethod
    def learn(cls, fold: Fold) -> Self:
        """From the training rows of a forecast."""
        problem, X = fold.problem, fold.train.X
        times = X[str(problem.time)]
        labels: Sequence[object] = [""]
        codes = np.zeros(len(X), dtype=np.int64)
        if problem.series is not None:
            codes, found = pd.factorize(X[problem.series].astype(str), sort=True)
            labels = list(found)
        calendar = Calendar.learn(times)
        ticks = calendar.ticks(times)
        known = np.isfinite(ticks) & np.isfinite(fold.train.y)
        start = int(ticks[known].min()) if known.any() else 0
        places = (ticks[known] - start).astype(np.int64)
        width = min(int(places.max()) + 1 if len(places) else 1, MOST_CELLS // max(1, len(labels)))
        shift = max(0, (int(places.max()) + 1 if len(places) else 1) - width)  # the oldest steps are let go
        places, kept = places - shift, places >= shift
        total, count = np.zeros((len(labels), width)), np.zeros((len(labels), width))
        where = (codes[known][kept], places[kept])
        np.add.at(total, where, fold.train.y[known][kept])
        np.add.at(count, where, 1.0)
        seen = count > 0
        raw = np.where(seen, total / np.maximum(count, 1.0), np.nan)
        longest = codes == np.bincount(codes).argmax()
        m = season(times[longest].to_numpy()) if longest.any() else 1
        names = tuple(str(label) for label in labels)
        filled = pd.DataFrame(raw).ffill(axis=1).to_numpy()
        last = width - 1 - seen[:, ::-1].argmax(axis=1)
        filled[np.arange(width) > last[:, None]] = np.nan
        return cls(calendar, names, start + shift, m, filled, seen, str(problem.time), problem.series)

    @cached_property
    def first(self) -> np.ndarray:
        """The column of each series' first value."""
        return np.asarray(self.seen.argmax(axis=1))

    @cached_property
    def last(self) -> np.ndarray:
        """The column of each series' last value."""
        return np.asarray(self.seen.shape[1] - 1 - self.seen[:, ::-1].argmax(axis=1))

    @cached_property
    def error(self) -> np.ndarray:
        """Each series' mean absolute seasonal naive error, never 0: what MASE divides by."""
        errors = np.full(len(self.values), np.nan)
        for lag in (self.season, 1):
            if lag < self.values.shape[1]:
                differences = np.abs(self.values[:, lag:] - self.values[:, :-lag])
                counts = np.isfinite(differences).sum(axis=1)
                means = np.nansum(differences, axis=1) / np.maximum(counts, 1)
                errors = np.where(np.isfinite(errors) & (errors > 0), errors, np.where(counts > 0, means, np.nan))
        positive = errors[np.isfinite(errors) & (errors > 0)]
        return np.where(np.isfinite(errors) & (errors > 0), errors, positive.mean() if len(positive) else 1.0)

    def places(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """The series code (-1: unknown) and the column of each row; a missing moment is the step after the last."""
        codes = np.zeros(len(X), dtype=np.int64)
        if self.series is not None:
            codes = pd.Index(self.labels).get_indexer(pd.Index(X[self.series].astype(str)))
        ticks = self.calendar.ticks(X[self.time]) - self.start
        after = np.where(codes >= 0, self.last[codes], self.last.max()) + 1
        return codes, np.clip(np.where(np.isfinite(ticks), ticks, after), -(10**6), 10**6).astype(np.int64)

    def at(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Values, nan outside of what is known."""
        inside = (columns >= 0) & (columns < self.values.shape[1])
        return np.where(inside, self.values[codes, np.where(inside, columns, 0)], np.nan)

    def mean(self, codes: np.ndarray, ends: np.ndarray, width: int) -> np.ndarray:
        """The mean of up to `width` values that end with column `ends`, nan where there is none."""
        low, high = np.clip(ends + 1 - width, 0, None), np.clip(ends + 1, 0, self.values.shape[1])
        low = np.minimum(low, high)
        total, count = self._sums
        counted = count[codes, high] - count[codes, low]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counted > 0, (total[codes, high] - total[codes, low]) / counted, np.nan)

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        nothing = np.zeros((len(self.values), 1))
        total = np.cumsum(np.nan_to_num(self.values), axis=1)
        count = np.cumsum(np.isfinite(self.values), axis=1)
        return np.hstack([nothing, total]), np.hstack([nothing, count])

    def naive(self, codes: np.ndarray, origins: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The value of the same season, the latest one up to each row's origin; where there is none, the value at the
        origin; before a series' first value, that first value. All of shape (rows,)."""
        ahead = np.maximum(columns - origins, 1)
        seasons = np.ceil(ahead / self.season).astype(np.int64)
        told = self.at(codes, columns - seasons * self.season)
        told = np.where(np.isfinite(told), told, self.at(codes, origins))
        return np.where(np.isfinite(told), told, self.at(codes, self.first[codes]))

    def pooled(self, columns: np.ndarray) -> np.ndarray:
        """The mean over all series of their seasonal naive forecasts: what is told of a series never seen."""
        everyone = np.arange(len(self.values))
        wanted, back = np.unique(columns, return_inverse=True)
        each = [
            self.naive(everyone, self.origins(everyone, np.full(len(everyone), c)), everyone * 0 + c).mean()
            for c in wanted
        ]
        return np.asarray(np.asarray(each)[back])

    def origins(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The latest column that each row's forecast may know: a step before it, or the series' last."""
        return np.asarray(np.minimum(columns - 1, self.last[codes]))

    def save(self, folder: Path) -> None:
        card = {name: getattr(self, name) for name in ("labels", "start", "season", "time", "series")}
        card |= {"calendar": asdict(self.calendar), "shape": self.values.shape}
        (folder / CARD).write_text(json.dumps(card, ensure_ascii=False), encoding="utf-8")
        codes, columns = np.nonzero(np.isfinite(self.values))
        table = {
            "series": codes,
            "step": columns,
            "value": self.values[codes, columns],
            "seen": self.seen[codes, columns],
        }
        pd.DataFrame(table).to_parquet(folder / VALUES, index=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        table = pd.read_parquet(folder / VALUES)
        values, seen = np.full(card.pop("shape"), np.nan), None
        seen = np.zeros(values.shape, dtype=bool)
        values[table["series"], table["step"]] = table["value"]
        seen[table["series"], table["step"]] = table["seen"]
        calendar, labels = Calendar(**card.pop("calendar")), tuple(card.pop("labels"))
        return cls(calendar=calendar, labels=labels, values=values, seen=seen, **card)


def _raw(times: pd.Series) -> np.ndarray:
    """Moments as float64: nanoseconds, or the numbers that they are; nan where missing."""
    if times.dtype.kind != "M":
        return times.to_numpy(dtype=np.float64)
    moments = times.to_numpy(dtype="datetime64[ns]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
