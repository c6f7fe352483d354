"""Rolling origins: what cross-validation is for forecasts (Tashman 2000). Each fold knows only what came before it."""

from typing import TYPE_CHECKING

import numpy as np

from framework.data.data_error import DataError
from framework.data.forecast import SPARE
from framework.data.times import moments
from framework.problem import Problem

if TYPE_CHECKING:
    from framework.data.frame import Fold, Frame


def rolling(fold: "Fold", origins: int) -> list[np.ndarray]:
    """The rows that each origin holds out: sorted indices into the rows of `fold.pooled().train`, as `k_fold` has them.

    The first holds out each series' last `horizon` steps, the i-th the horizon that ends i horizons before. A series
    is held out where a horizon and 3 steps more are left before the origin (for the first: 3 steps). What may be
    learned from is not all the rest: see `past`. The rows' MASE scales stay as they are, so that errors at all origins
    are measured alike.
    Raises DataError where the rows are no forecast's, or no series is long enough for so many.
    """
    problem = fold.problem
    if problem.kind != "forecast" or fold.shards is not None:
        raise DataError(f"kind={problem.kind!r}: only forecasts in memory have origins to roll. Deal rows into folds.")
    series, times = _placed(fold.pooled().train, problem)
    order = np.lexsort((times, series))
    codes = series[order]
    lengths = np.bincount(codes)
    left = np.cumsum(lengths)[codes] - np.arange(len(codes)) - 1  # steps that its series has after this one
    most = 1 + max(0, (int(lengths.max(initial=0)) - SPARE) // problem.horizon - 2)
    if not 1 <= origins <= most:
        raise DataError(
            f"folds is {origins}; the longest series has {lengths.max(initial=0)} steps to learn from, which is long "
            f"enough for 1 to {most} origins of horizon={problem.horizon}. Take {max(1, min(origins, most))}."
        )
    held = []
    for place in range(origins):
        end = place * problem.horizon
        long = lengths[codes] >= end + (2 if place else 1) * problem.horizon + SPARE
        held.append(np.sort(order[long & (left >= end) & (left < end + problem.horizon)]))
    return held


def past(rows: "Frame", held: np.ndarray, *, problem: Problem) -> np.ndarray:
    """The rows that may be learned from when `held` are held out, sorted indices: those of a series that come before
    its first held-out step; of a series with none, those before the first held-out step of all."""
    series, times = _placed(rows, problem)
    rank = np.unique(times, return_inverse=True)[1]
    first = np.full(int(series.max(initial=0)) + 1, len(rank))
    np.minimum.at(first, series[held], rank[held])
    first[first == len(rank)] = rank[held].min(initial=len(rank))
    return np.flatnonzero(rank < first[series])


def _placed(rows: "Frame", problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Each row's series code and its moment, both of shape (rows,)."""
    series = rows.truth.series
    return np.zeros(len(rows), dtype=np.int64) if series is None else series, moments(rows.X[str(problem.time)])
