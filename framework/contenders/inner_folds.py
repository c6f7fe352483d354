"""Folds inside the rows that a contender learns from: none of them learns from what it should not know yet."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from framework.data.data_error import DataError
from framework.data.frame import Fold, Frame
from framework.data.kfold import k_fold
from framework.problem import Problem


@dataclass(frozen=True)
class Part:
    """Rows to learn from and rows held out: sorted indices without one in common."""

    learn: np.ndarray
    held: np.ndarray


def deal(fold: Fold, folds: int, *, seed: int = 0) -> list[Part]:
    """The rows of `fold.train` dealt into parts; no row is held out by two of them.

    In order of time where the problem has one: each part learns from what came before the rows it holds out, and the
    oldest rows are held out by none. Else every row is held out once, classes alike and groups whole, but for the only
    row of its class (`framework.data.kfold`). Where there are fewer groups than folds, there are as many folds.
    Raises DataError where the rows cannot be dealt.
    """
    rows = fold.train
    if fold.problem.time is not None:
        return _chain(rows, fold.problem, folds)
    if rows.group is not None:
        folds = max(2, min(folds, len(np.unique(rows.group))))
    alone = replace(fold, valid=rows.take(np.arange(0)), shards=None)
    return [Part(np.delete(np.arange(len(rows)), held), held) for held in k_fold(alone, folds, seed=seed)]


def moments(rows: Frame, problem: Problem) -> np.ndarray:
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


def _chain(rows: Frame, problem: Problem, folds: int) -> list[Part]:
    """Forward-chaining: equal blocks in order of time, no moment cut in two, all but the first held out."""
    when = moments(rows, problem)
    order = np.argsort(when, kind="stable")
    fresh = np.append(np.flatnonzero(np.diff(when[order]) > 0) + 1, len(order))
    wanted = np.arange(1, folds + 1) * len(order) / (folds + 1)
    cuts = np.unique([*(int(fresh[np.abs(fresh - place).argmin()]) for place in wanted), len(order)])
    parts = [Part(np.sort(order[:begin]), np.sort(order[begin:end])) for begin, end in pairwise(cuts)]
    if problem.classified:
        all_classes = len(np.unique(rows.y))
        parts = [part for part in parts if len(np.unique(rows.y[part.learn])) == all_classes]
    if not parts:
        raise DataError(
            f"in order of {problem.time!r} no part of the {len(rows)} rows has all classes and rows after it: "
            f"they cannot be dealt into folds."
        )
    return parts
