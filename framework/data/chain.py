"""Forward chaining: what cross-validation is for rows in order of time. Each fold knows only what came before it."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from framework.problem import Problem

if TYPE_CHECKING:
    from framework.data.frame import Frame


def ordered(problem: Problem) -> bool:
    """Whether the problem's rows follow each other in time: then folds are not each as good as another, for the earlier
    one knows less of the past."""
    return problem.time is not None


def places(rows: "Frame", problem: Problem) -> np.ndarray:
    """Each row's place in time, shape (rows,), equal for rows of one moment; a group's is the mean of its rows'.

    Rows without the time column among their features stand in the order of time already.
    """
    if problem.time not in rows.X:
        when = np.arange(len(rows), dtype=np.float64)
    else:
        when = pd.factorize(rows.X[problem.time], sort=True)[0].astype(np.float64)
    if rows.group is None or problem.kind == "forecast":
        return when
    codes = np.unique(rows.group, return_inverse=True)[1]
    # Groups of one mean would count as one moment: a hair's breadth keeps each whole and apart.
    middle = np.bincount(codes, weights=when) / np.bincount(codes)
    return np.asarray((middle + np.arange(len(middle)) * 1e-9)[codes])


def chain(rows: "Frame", problem: Problem, folds: int, *, size: float | None = None) -> list[np.ndarray]:
    """The rows that each fold holds out, sorted indices, the oldest first: the latest rows in so many blocks in order
    of time, no moment and no group cut in two. What may be learned from is not all the rest: see `earlier`.

    size: about how many rows a block has; by default as many as there are before the first.
    Blocks before which a class or a moment is lacking are left out: there may be fewer than `folds`, or none.
    """
    when = places(rows, problem)
    order = np.argsort(when, kind="stable")
    fresh = np.append(np.flatnonzero(np.diff(when[order]) > 0) + 1, len(order))
    wanted = len(order) - np.arange(folds, 0, -1) * (len(order) / (folds + 1) if size is None else size)
    cuts = np.unique([*(int(fresh[np.abs(fresh - place).argmin()]) for place in wanted), len(order)])
    held = [np.sort(order[begin:end]) for begin, end in pairwise(cuts)]
    if not problem.classified:
        return held
    classes = len(np.unique(rows.y))
    return [each for each in held if len(np.unique(rows.y[earlier(rows, each, problem=problem)])) == classes]


def earlier(rows: "Frame", held: np.ndarray, *, problem: Problem) -> np.ndarray:
    """The rows that may be learned from when `held` are held out, sorted indices: those before the first of them, of
    groups those that lie before the first held-out group."""
    when = places(rows, problem)
    return np.flatnonzero(when < when[held].min(initial=np.inf))
