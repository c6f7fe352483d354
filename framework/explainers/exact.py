"""Which exact explainer a model has, seen through what is wrapped around it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from framework.calibration import Calibration
from framework.contender import Model
from framework.data.schema import Schema
from framework.explainers.contributions import Contributions, Explainer, NotAdditiveError

AVERAGED = ("probability", "value")  # spaces in which an ensemble's mean is the mean of its members' sums


def explainer_of(model: Model, schema: Schema, background: pd.DataFrame | None = None) -> Explainer | None:
    """The exact explainer of trees, of linear models, and of what is additive around them; None for any other, or for a
    forest where the package shap is not installed.

    background: the rows a linear model is explained against; without them it has no exact explainer.
    The explainer raises NotAdditiveError where its sums miss the predictions.
    """
    from framework.contenders.blend import BlendModel
    from framework.contenders.calibrated import CalibratedModel
    from framework.contenders.catboost import CatBoostModel
    from framework.contenders.h2o_model import H2OModel
    from framework.contenders.lightgbm import LightGBMModel
    from framework.contenders.sklearn_model import SklearnModel
    from framework.contenders.xgboost import XGBoostModel
    from framework.explainers import trees
    from framework.explainers.mojo import mojo_values

    model = bare(model)
    if isinstance(model, XGBoostModel):
        return partial(trees.xgboost_values, model, schema)
    if isinstance(model, LightGBMModel):
        return partial(trees.lightgbm_values, model, schema)
    if isinstance(model, CatBoostModel):
        return partial(trees.catboost_values, model, schema)
    if isinstance(model, SklearnModel):
        return _of_sklearn(model, schema, background)
    if isinstance(model, H2OModel):
        return partial(mojo_values, model, schema) if model.mojo.attributes else None
    if isinstance(model, CalibratedModel):
        inner = explainer_of(model.model, schema, background)
        return None if inner is None else partial(_calibrated, inner, model.calibration)
    if isinstance(model, BlendModel):
        members = {name: explainer_of(each, schema, background) for name, each in model.models.items()}
        known = {name: explainer for name, explainer in members.items() if explainer is not None}
        return partial(_averaged, known, model.weights) if len(known) == len(members) else None
    return None


def bare(model: Model) -> Model:
    """The model inside of a sweep's winner, or of columns made where none paid."""
    from framework.contenders.crossed import CrossedModel
    from framework.contenders.tuned import TunedModel

    while isinstance(model, TunedModel) or (isinstance(model, CrossedModel) and not model.made):
        model = model.model
    return model


def needs_package(model: Model) -> bool:
    """Whether it is a forest, whose exact values take the package shap."""
    return hasattr(getattr(bare(model), "estimator", None), "estimators_")


def _of_sklearn(model: Model, schema: Schema, background: pd.DataFrame | None) -> Explainer | None:
    from sklearn.linear_model import LogisticRegression, Ridge

    from framework.contenders.native import Native
    from framework.contenders.sklearn_model import SklearnModel
    from framework.explainers.linear import linear_values
    from framework.explainers.trees import forest_values

    assert isinstance(model, SklearnModel)
    if isinstance(model.columns, Native) and hasattr(model.estimator, "estimators_"):
        try:
            import shap  # noqa: F401
        except ImportError:
            return None
        return partial(forest_values, model, schema)
    if isinstance(model.estimator, LogisticRegression | Ridge) and background is not None:
        return lambda X: linear_values(model, schema, X, background)
    return None


def _calibrated(inner: Explainer, calibration: Calibration, X: pd.DataFrame) -> Contributions:
    """A map that is a line in log-odds scales the contributions and moves their base.

    Softening by T: φ / T. Two classes by Platt: a φ, and the base a · base + b.
    """
    found = inner(X)
    if calibration.method == "none":
        return found
    two = len(found.outputs) == 1
    if found.space != "log-odds" or not (
        calibration.method == "temperature" or (calibration.method == "platt" and two)
    ):
        raise NotAdditiveError(f"its {calibration.method} calibration is no sum of contributions")
    slope, shift = (1 / calibration.curves[0][0], 0.0) if calibration.method == "temperature" else calibration.curves[0]
    return replace(
        found,
        how=f"{found.how}, calibrated",
        values=found.values * slope,
        base=found.base * slope + shift,
        predicted=found.predicted * slope + shift,
    )


def _averaged(members: Mapping[str, Explainer], weights: Mapping[str, float], X: pd.DataFrame) -> Contributions:
    """The weighted mean of members that are explained in the space of their mean."""
    told = {name: explain(X) for name, explain in members.items()}
    first = next(iter(told.values()))
    spaces = sorted({each.space for each in told.values()})
    if spaces[1:] or spaces[0] not in AVERAGED:
        raise NotAdditiveError(f"the mean of its members is no sum of contributions in {' and '.join(spaces)}")
    share = np.array([weights[name] for name in told]) / sum(weights[name] for name in told)

    def mean(field: str) -> np.ndarray:
        return np.asarray(sum(part * getattr(each, field) for part, each in zip(share, told.values(), strict=True)))

    hows = ", ".join(sorted({each.how for each in told.values()}))
    how = f"mean of {len(told)} members: {hows}"
    return replace(first, how=how, values=mean("values"), base=mean("base"), predicted=mean("predicted"))
