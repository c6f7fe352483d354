"""Shapley values of any model, by sampling orders of its columns (Štrumbelj & Kononenko 2014), in plain numpy.

The package shap has the same algorithm, but compiles it for 5 to 35 seconds at its first call.
"""

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.schema import Schema
from framework.explainers.contributions import Contributions, outputs_of

CHUNK = 20_000  # composed rows that are predicted at a time, at most


def sampled(model: Model, schema: Schema, X: pd.DataFrame, background: pd.DataFrame, *, seed: int) -> Contributions:
    """Contributions of the rows of X, each the same whichever rows stand beside it.

    Every row is walked to from every background row, column by column in a random order and in its reverse
    (antithetic: Mitchell et al. 2022); a column's contribution is the mean change at its step. The walks' ends make
    the sum exact: base = mean prediction of the background rows. In probabilities, or in values.
    """
    random = np.random.default_rng(seed)
    count, many = len(background), len(schema.columns)
    orders = np.array([random.permutation(many) for _ in range(count)]).reshape(count, many)
    walks = np.concatenate([orders, orders[:, ::-1]])
    # taken[w, s, c]: whether walk w has taken column c from the explained row after s steps.
    taken = np.arange(many + 1)[None, :, None] > np.argsort(walks, axis=1)[:, None, :]
    start = np.tile(np.arange(count), 2)
    most = max(1, CHUNK // (len(walks) * (many + 1)))
    told: list[np.ndarray] = []
    for done in range(0, len(X), most):
        rows = X.iloc[done : done + most]
        answers = answers_of(model, _composed(rows, background, taken, start))
        answers = answers.reshape(len(rows), len(walks), many + 1, -1)
        gains = np.diff(answers, axis=2)
        each = np.zeros((len(rows), many, answers.shape[3]))
        for walk, order in enumerate(walks):
            each[:, order] += gains[:, walk]
        told.append(each / len(walks))
    base = answers_of(model, background).mean(axis=0)
    space = "probability" if schema.classes else "value"
    how = f"sampled Shapley values, {2 * count} orders a row"
    predicted = answers_of(model, X)
    return Contributions(schema.names, outputs_of(schema), space, how, np.concatenate(told), base, predicted, X)


def _composed(rows: pd.DataFrame, background: pd.DataFrame, taken: np.ndarray, start: np.ndarray) -> pd.DataFrame:
    """Every step of every walk to every row, one under the other."""
    both = pd.concat([rows, background], ignore_index=True)
    own = np.arange(len(rows))[:, None, None]
    other = len(rows) + start[None, :, None]
    columns = {
        name: both[name].take(np.where(taken[None, :, :, place], own, other).ravel()).array
        for place, name in enumerate(both.columns)
    }
    return pd.DataFrame(columns, copy=False)


def answers_of(model: Model, X: pd.DataFrame) -> np.ndarray:
    """Predictions, shape (rows, outputs): all classes, class 1 alone of two, or the value."""
    told = np.asarray(model.predict(X), dtype=np.float64)
    if told.ndim == 1:
        return told[:, None]
    return told[:, 1:] if told.shape[1] == 2 else told
