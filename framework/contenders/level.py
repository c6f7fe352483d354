"""Members' answers as columns: what a meta-learner learns from."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from framework.data.column import Column
from framework.data.frame import Fold, Frame
from framework.data.schema import Schema

LEAST = 1e-6  # a probability below, or above 1 less it, counts as this


def level(answers: Mapping[str, np.ndarray], X: pd.DataFrame | None = None) -> pd.DataFrame:
    """A column for each member's values; of its probabilities the log-odds of every class but the last, of two classes
    those of class 1. With the columns of X behind them, where it is given.
    """
    columns: dict[str, np.ndarray] = {}
    for name, answer in answers.items():
        if answer.ndim == 1:
            columns[f"answer of {name}"] = np.asarray(answer, dtype=np.float64)
            continue
        held = np.clip(answer.astype(np.float64), LEAST, 1 - LEAST)
        odds = np.log(held / (1 - held))
        codes = [1] if answer.shape[1] == 2 else range(answer.shape[1] - 1)
        columns |= {f"answer of {name}: {code}": odds[:, code] for code in codes}
    block = pd.DataFrame(columns)
    return block if X is None else pd.concat([block, X.reset_index(drop=True)], axis=1)


def level_fold(answers: Mapping[str, np.ndarray], rows: Frame, fold: Fold, *, passthrough: bool) -> Fold:
    """The fold's question with the answers on `rows` as its columns, all to learn from and none to stop by.

    passthrough: the rows' own columns too.
    """
    X = level(answers, rows.X if passthrough else None)
    raw = fold.schema.columns if passthrough else ()
    told = tuple(Column(name, "number") for name in X.columns[: X.shape[1] - len(raw)])
    train = replace(rows, X=X, truth=replace(rows.truth, features=X.shape[1]))
    return Fold(fold.problem, Schema((*told, *raw), fold.classes), train, train.take(np.arange(0)))
