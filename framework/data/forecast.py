"""The forecast's own split, the last steps of each series, and what its errors are scaled by."""

from dataclasses import dataclass

import numpy as np

from framework.data.data_error import DataError
from framework.problem import Problem

GAP = 1.6  # times the usual spacing, from which steps are missing: a month is at most 1.1 of another
SPARE = 3  # steps of a series that train at least, beside the two horizons


@dataclass(frozen=True)
class Horizons:
    """Rows of each part, ordered by series and time; `short` tells the codes of series too short to be cut."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    short: np.ndarray


def cut_horizons(series: np.ndarray, times: np.ndarray, *, problem: Problem) -> Horizons:
    """The last `horizon` steps of each series to test, those before to choose by, the earlier ones to learn from.

    series: codes, shape (rows,). times: sortable, shape (rows,).
    Raises DataError when a series has two rows at one moment, or none is long enough.
    """
    order = np.lexsort((times, series))
    codes, moments = series[order], times[order]
    twice = (codes[1:] == codes[:-1]) & (moments[1:] == moments[:-1])
    if twice.any():
        row = int(twice.argmax())
        where = f"one series of {problem.series!r} has" if problem.series else "there are"
        what = "Leave one" if problem.series else "Name the column that tells the series apart (series)"
        raise DataError(
            f"{where} two rows at {problem.time} {_shown(moments[row])}; a forecast takes one row a step. {what}."
        )
    lengths = np.bincount(codes)
    least = 2 * problem.horizon + SPARE
    if lengths.max() < least:
        raise DataError(
            f"no series is long enough: the longest has {lengths.max()} steps; with horizon={problem.horizon} at "
            f"least {least} are needed (to learn, choose and test). Pass a horizon of at most "
            f"{max(1, (int(lengths.max()) - SPARE) // 2)}."
        )
    ends = np.cumsum(lengths)
    left = ends[codes] - np.arange(len(codes)) - 1
    long = lengths[codes] >= least
    test = long & (left < problem.horizon)
    valid = long & ~test & (left < 2 * problem.horizon)
    train = long & ~test & ~valid
    return Horizons(order[train], order[valid], order[test], np.flatnonzero((lengths > 0) & (lengths < least)))


def gaps(series: np.ndarray, times: np.ndarray, *, problem: Problem) -> str:
    """A sentence that tells of steps without a row within a series; empty where there are none.

    series: codes, shape (rows,). times: as `moments` gives them, shape (rows,).
    """
    order = np.lexsort((times, series))
    same = np.diff(series[order]) == 0
    apart = np.diff(times[order])[same].astype(np.float64)
    apart, codes = apart[apart > 0], series[order][1:][same][apart > 0]
    if not len(apart):
        return ""
    usual = float(np.median(apart))
    wide = apart > GAP * usual
    if not wide.any():
        return ""
    missing, among = int((np.round(apart[wide] / usual) - 1).sum()), len(np.unique(codes[wide]))
    where = f"{among:,} of {len(np.unique(series)):,} series" if problem.series else "the series"
    return (
        f"{missing:,} step{'s'[: missing != 1]} of {problem.time!r} within {where} "
        f"{'has' if missing == 1 else 'have'} no row: the value before is carried forward, and not learned"
    )


def naive_errors(y: np.ndarray, series: np.ndarray, season: int) -> np.ndarray:
    """Each series' MASE denominator, the mean of |y_t - y_{t-m}| (Hyndman & Koehler 2006), shape (series,), never 0.

    y, series: the training rows ordered by series and time. season: m; a series of at most m rows is taken with m = 1,
    so is one whose seasonal error is 0; where that is 0 too, the mean of the other series', else 1.
    """
    errors = np.zeros(int(series.max()) + 1 if len(series) else 0)
    for code in np.unique(series):
        steps = y[series == code]
        for lag in (season, 1):
            if len(steps) > lag and not errors[code]:
                errors[code] = np.abs(steps[lag:] - steps[:-lag]).mean()
    positive = errors[errors > 0]
    errors[errors == 0] = positive.mean() if len(positive) else 1.0
    return errors


def _shown(moment: np.generic) -> str:
    return str(moment)[:19] if isinstance(moment, np.datetime64) else f"{moment:g}"
