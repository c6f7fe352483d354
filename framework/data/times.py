"""Moments: a time column as sortable values, and how long its season is."""

import numpy as np
import pandas as pd

from framework.data.arrays import plain, present
from framework.data.data_error import DataError
from framework.data.describe import describe
from framework.data.values import date_of

_DAY = 86_400e9  # nanoseconds
_YEAR = 365.2425  # days
_SEASONS = ((300, 1), (75, 4), (26, 12), (6, 52), (0.95, 7))  # spacing of at least so many days → steps a season


def moments(column: pd.Series) -> np.ndarray:
    """A time column, shape (rows,): datetime64[ns], or float64 where time is a number (a year, a step).

    Texts are read as dates or numbers; a missing moment is NaT or NaN.
    Raises DataError with the first value that is neither, and the row it stands in, counted from 1.
    """
    values = plain(column)
    if values.dtype.kind in "iu":
        return values.astype(np.float64)
    if values.dtype.kind in "fM":
        return values
    if not present(values).any():
        return np.full(len(values), np.nan)
    told = describe(str(column.name), values, kept=True)
    if isinstance(told, str) or told.kind not in ("date", "number") or told.loose:
        values = values.astype(object)
        row, value = _first_strange(values, "" if isinstance(told, str) else told.written)
        raise DataError(
            f"time column {column.name!r} does not parse: {value!r} in row {row + 1} is no date. "
            f"Write dates like 2024-12-31, or mend that row."
        )
    taken: np.ndarray = told.take(values, [])
    return taken


def season(times: np.ndarray) -> int:
    """How many steps a season has, from the median spacing of the moments of one series.

    12 for months, 7 for days, 24 for hours, 4 for quarters, 52 for weeks, 1 for years and where nothing is known.
    times: datetime64, or numbers; numbers between 1500 and 2500 with fractions are decimal years (2000.083).
    """
    known = np.unique(np.asarray(times))
    known = known[~pd.isna(known)]
    if len(known) < 2:
        return 1
    if known.dtype.kind == "M":
        days = float(np.median(np.diff(known.astype("datetime64[ns]")).astype(np.int64))) / _DAY
    elif known[0] >= 1500 and known[-1] <= 2500 and float(np.median(np.diff(known))) < 0.99:
        days = float(np.median(np.diff(known))) * _YEAR
    else:
        return 1
    for least, steps in _SEASONS:
        if days >= least:
            return steps
    return max(1, round(1 / days)) if days > 0 else 1


def _first_strange(values: np.ndarray, written: str) -> tuple[int, object]:
    for row, value in enumerate(values):
        try:
            date_of(value, written)
        except ValueError:
            return row, value
    return 0, values[0]
