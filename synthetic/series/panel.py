"""A table of series as padded arrays: what changes from step to step, and what stays the same within a series."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from framework.data.data_error import DataError, nearest
from synthetic.codec import Codec, Numbers, learn_numbers
from synthetic.columns import learn_codec
from synthetic.series.clock import Clock
from synthetic.series.error import SeriesError

LEAST_ROWS, LEAST_STEPS = 20, 4
FEW = 3  # distinct numbers, up to which a column is a state: 0 or 1
GAP = "\0gap"  # the number that tells irregular times


@dataclass(frozen=True)
class Panel:
    """Series in the order of their names, each in the order of its times.

    statics: columns that stay the same, a row a series. starts, lengths: of each series: a time, and steps.
    numbers: codecs of the columns of `values`, float64, shape (series, longest, columns), nan where missing or past the
    end. states: codecs of those of `tokens`, int64, the same shape, -1 past the end. slots: where in the clock's cycle,
    int64, shape (series, longest).
    """

    clock: Clock
    statics: pd.DataFrame
    starts: np.ndarray
    lengths: np.ndarray
    numbers: tuple[Numbers, ...]
    values: np.ndarray
    states: tuple[Codec, ...]
    tokens: np.ndarray
    slots: np.ndarray

    @classmethod
    def learn(cls, frame: pd.DataFrame, series: str, time: str, period: int | None = None) -> Self:
        """Raises SeriesError, DataError and ColumnError, naming what cannot be learned."""
        _check(frame, series, time)
        codes = pd.factorize(frame[series], sort=True)[0].astype(np.int64)
        moments = _moments(frame[time])
        order = np.lexsort((moments, codes))
        rows, codes, moments = frame.iloc[order].reset_index(drop=True), codes[order], moments[order]
        twice = (np.diff(codes) == 0) & (np.diff(moments) == 0)
        if twice.any():
            at = int(twice.argmax())
            raise SeriesError(
                f"series {rows[series].iloc[at]} has two rows at {time} {rows[time].iloc[at]}. A series has one row a "
                f"time: make what tells them apart a part of the series' name, or sum them up."
            )
        lengths = np.bincount(codes)
        if lengths.max() < LEAST_STEPS:
            raise SeriesError(f"the longest series has {lengths.max()} rows; at least {LEAST_STEPS} are needed.")
        clock = Clock.learn(rows[time], codes, period)
        times = clock.numbers(rows[time])
        first = np.append(0, lengths.cumsum()[:-1])
        step = np.arange(len(rows)) - first[codes]
        names = [str(name) for name in rows.columns if name not in (series, time)]
        changing = {name for name in names if (rows.groupby(codes)[name].nunique(dropna=False) > 1).any()}
        codecs = [learn_codec(name, rows[name]) for name in names if name in changing]
        numbers = [each for each in codecs if isinstance(each, Numbers) and not _few(each)]
        states = [each for each in codecs if not isinstance(each, Numbers) or _few(each)]
        columns = [each.numbers(rows[each.name]) for each in numbers]
        if not clock.step:
            gaps = np.where(step > 0, np.diff(times, prepend=times[0]), np.nan)
            numbers.append(learn_numbers(GAP, "float64", gaps))
            columns.append(gaps)
        if not numbers and not states:
            raise SeriesError("no column changes within a series: these are no series. Learn a table in place of them.")
        shape = (len(lengths), int(lengths.max()))
        values = np.full((*shape, len(numbers)), np.nan)
        tokens = np.full((*shape, len(states)), -1, dtype=np.int64)
        slots = np.zeros(shape, dtype=np.int64)
        for at, column in enumerate(columns):
            values[codes, step, at] = column
        for at, each in enumerate(states):
            tokens[codes, step, at] = each.encode(rows[each.name]).astype(np.int64)
        slots[codes, step] = clock.slot(times)
        statics = rows.iloc[first][[name for name in names if name not in changing]].reset_index(drop=True)
        return cls(clock, statics, times[first], lengths, tuple(numbers), values, tuple(states), tokens, slots)

    @property
    def there(self) -> np.ndarray:
        """Which steps a series has, bool, shape (series, longest)."""
        return np.asarray(np.arange(self.values.shape[1])[None] < self.lengths[:, None])


def _few(codec: Numbers) -> bool:
    return not codec.binned and codec.card - codec.missing <= FEW


def _moments(column: pd.Series) -> np.ndarray:
    """Something that sorts as times do."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64)
    times = pd.to_datetime(column, errors="coerce", utc=True)
    if times.isna().any():
        raise SeriesError(
            f"column {column.name!r} holds {column[times.isna()].iloc[0]!r}, which is no time: give numbers or dates."
        )
    return np.asarray(times.to_numpy().astype("datetime64[ns]").astype(np.int64))


def _check(frame: pd.DataFrame, series: str, time: str) -> None:
    for what, name in (("series", series), ("time", time)):
        if name not in frame.columns:
            raise DataError(f"--{what} {name!r} is no column. {nearest(name, map(str, frame.columns), what='columns')}")
        if frame[name].isna().any():
            raise SeriesError(
                f"column {name!r} is missing in {int(frame[name].isna().sum()):,} rows; every row of a series needs "
                f"its {what}. Fill it in, or leave these rows out."
            )
    if series == time:
        raise SeriesError(f"column {series!r} cannot be both the series and the time.")
    if len(frame) < LEAST_ROWS:
        raise DataError(f"the table has {len(frame)} rows; at least {LEAST_ROWS} are needed to learn from.")
