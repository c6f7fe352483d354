"""Folds inside the rows that a contender learns from: none of them learns from what it should not know yet."""

from dataclasses import dataclass, replace

import numpy as np

from framework.data.chain import chain, earlier, ordered
from framework.data.data_error import DataError
from framework.data.frame import Fold
from framework.data.kfold import k_fold


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
    if ordered(fold.problem):
        parts = [Part(earlier(rows, held, problem=fold.problem), held) for held in chain(rows, fold.problem, folds)]
        if not parts:
            raise DataError(
                f"in order of {fold.problem.time!r} no part of the {len(rows)} rows has all classes and rows after it: "
                f"they cannot be dealt into folds."
            )
        return parts
    if rows.group is not None:
        folds = max(2, min(folds, len(np.unique(rows.group))))
    alone = replace(fold, valid=rows.take(np.arange(0)), shards=None)
    return [Part(np.delete(np.arange(len(rows)), held), held) for held in k_fold(alone, folds, seed=seed)]
