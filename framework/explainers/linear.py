"""Exact Shapley values of linear models: each coefficient times how far its column is from the background's mean.

Štrumbelj & Kononenko 2014, and Corollary 1 of Lundberg & Lee 2017, for columns that are taken as independent; the parts
of a raw column (its categories, its spline, its gap) are summed back.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.data.schema import Schema
from framework.explainers.contributions import Contributions, NotAdditiveError, checked, outputs_of

if TYPE_CHECKING:
    from framework.contenders.sklearn_model import SklearnModel

HOW = "exact Shapley values of a linear model"


def linear_values(model: "SklearnModel", schema: Schema, X: pd.DataFrame, background: pd.DataFrame) -> Contributions:
    """In log-odds or values; a model that learned the logarithm is explained in it. base: the background's mean.

    Raises NotAdditiveError where a prediction was held within the range that training had, or a class is missing.
    """
    estimator, target = model.estimator, model.target
    rows, known = model.columns.transform(X), model.columns.transform(background)
    slopes = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    level = np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64))
    outputs = outputs_of(schema)
    if len(slopes) != len(outputs):
        raise NotAdditiveError("the model has not seen every class")
    owner = owners(model.columns, schema, pd.concat([X, background], ignore_index=True))
    centre = known.mean(axis=0)
    values = np.zeros((len(X), len(schema.names), len(outputs)))
    for place in range(len(schema.names)):
        mine = owner == place
        values[:, place] = (rows[:, mine] - centre[mine]) @ slopes[:, mine].T
    base, predicted = slopes @ centre + level, rows @ slopes.T + level
    if model.classes:
        return checked(Contributions(schema.names, outputs, "log-odds", HOW, values, base, predicted, X))
    if (np.clip(predicted, target.low, target.high) != predicted).any():
        raise NotAdditiveError("a prediction was held within the range of the training rows")
    space = "logarithm of the value" if target.logged else "value"
    base, predicted = base * target.scale + target.shift, predicted * target.scale + target.shift
    return checked(Contributions(schema.names, outputs, space, HOW, values * target.scale, base, predicted, X))


def owners(columns: Any, schema: Schema, X: pd.DataFrame) -> np.ndarray:
    """The raw column that each column of the matrix comes of, seen by moving them one at a time; int, shape (width,).

    columns: a fitted ColumnTransformer. Columns that are the same in all of these rows add nothing: -1.
    Raises NotAdditiveError for a matrix column that two raw columns move.
    """
    owner = np.full(columns.transform(X.head(1)).shape[1], -1)
    for name, part, asked in columns.transformers_:
        if name == "remainder" or isinstance(part, str) or not len(asked):
            continue
        names = [asked] if isinstance(asked, str) else list(asked)
        place, still = columns.output_indices_[name], X[names]
        before = np.asarray(part.transform(still), dtype=np.float64)
        for each in names:
            moved = still.assign(**{each: still[each].take(np.roll(np.arange(len(X)), 1)).set_axis(still.index)})
            changed = np.flatnonzero((np.asarray(part.transform(moved), dtype=np.float64) != before).any(axis=0))
            taken = place.start + changed
            if (owner[taken] >= 0).any():
                raise NotAdditiveError("a column of its matrix is made of two columns")
            owner[taken] = schema.names.index(each)
    return owner
