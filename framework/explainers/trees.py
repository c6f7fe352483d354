"""Exact Shapley values of tree ensembles (TreeSHAP: Lundberg et al. 2020), summed back to the raw columns.

XGBoost and LightGBM compute them themselves; forests need the package shap.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.schema import Schema
from framework.explainers.contributions import Contributions

Explainer = Callable[[pd.DataFrame], Contributions]
TOLERANCE = 1e-4  # of what is added up against what the model says, in the model's own spread


class NotAdditiveError(Exception):
    """Contributions that do not add up to the prediction: not to be shown."""


def explainer_of(model: Model, schema: Schema) -> Explainer | None:
    """The exact explainer of a model of trees; None for any other, or a forest where shap is not installed."""
    from framework.contenders.lightgbm import LightGBMModel
    from framework.contenders.sklearn_model import SklearnModel
    from framework.contenders.xgboost import XGBoostModel

    if isinstance(model, XGBoostModel):
        return lambda X: _boosted(X, schema, model, *_xgboost(model, X), how="TreeSHAP in XGBoost")
    if isinstance(model, LightGBMModel):
        return lambda X: _boosted(X, schema, model, *_lightgbm(model, X), how="TreeSHAP in LightGBM")
    if isinstance(model, SklearnModel) and hasattr(model.columns, "matrix") and hasattr(model.estimator, "estimators_"):
        try:
            import shap
        except ImportError:
            return None
        return lambda X: _forest(X, schema, model, shap)
    return None


def _xgboost(model: Any, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Contributions with the base as last feature, shape (rows, outputs, width + 1); margins (rows, outputs)."""
    import xgboost

    kinds = ["c" if code else "q" for code in model.native.categorical]
    rows = xgboost.DMatrix(model.native.matrix(X), feature_types=kinds, enable_categorical=True)
    told = model.booster.predict(rows, pred_contribs=True, validate_features=False)
    margin = model.booster.predict(rows, output_margin=True, validate_features=False)
    return told.reshape(len(X), -1, told.shape[-1]), margin.reshape(len(X), -1)


def _lightgbm(model: Any, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    rows = model.native.matrix(X)
    margin = np.asarray(model.booster.predict(rows, raw_score=True)).reshape(len(X), -1)
    told = np.asarray(model.booster.predict(rows, pred_contrib=True))
    return told.reshape(len(X), margin.shape[1], -1), margin


def _boosted(
    X: pd.DataFrame, schema: Schema, model: Any, told: np.ndarray, margin: np.ndarray, *, how: str
) -> Contributions:
    values = _by_column(np.moveaxis(told[:, :, :-1].astype(np.float64), 1, 2), model.native)
    space = "log-odds" if model.classes else "value"
    return _checked(X, schema, values, told[0, :, -1].astype(np.float64), margin.astype(np.float64), space, how)


def _forest(X: pd.DataFrame, schema: Schema, model: Any, shap: Any) -> Contributions:
    """In probabilities, or in values; a forest that learned the logarithm is explained in it."""
    rows = model.columns.matrix(X)
    tree = shap.TreeExplainer(model.estimator, feature_perturbation="tree_path_dependent")
    told = tree(rows, check_additivity=False)
    values = np.asarray(told.values, dtype=np.float64).reshape(len(X), rows.shape[1], -1)
    base = np.asarray(told.base_values, dtype=np.float64).reshape(len(X), -1)[0]
    how = "TreeSHAP of the package shap"
    if model.classes:
        predicted = np.asarray(model.estimator.predict_proba(rows))
        if values.shape[2] != model.classes:
            raise NotAdditiveError("the forest has not seen every class")
        first = 1 if model.classes == 2 else 0
        values, base, predicted = values[:, :, first:], base[first:], predicted[:, first:]
        return _checked(X, schema, _by_column(values, model.columns), base, predicted, "probability", how)
    scale, shift = model.target.scale, model.target.shift
    predicted = np.asarray(model.estimator.predict(rows)).reshape(-1, 1) * scale + shift
    space = "logarithm of the value" if model.target.logged else "value"
    return _checked(X, schema, _by_column(values, model.columns) * scale, base * scale + shift, predicted, space, how)


def _by_column(values: np.ndarray, native: Any) -> np.ndarray:
    """Contributions of the matrix's columns, shape (rows, width, outputs), added up to the raw columns they come of."""
    starts = np.cumsum([0, *(width for _, width in native.widths)])[:-1]
    return np.asarray(np.add.reduceat(values, starts, axis=1))


def _checked(
    X: pd.DataFrame,
    schema: Schema,
    values: np.ndarray,
    base: np.ndarray,
    predicted: np.ndarray,
    space: str,
    how: str,
) -> Contributions:
    off = np.abs(base + values.sum(axis=1) - predicted).max() if len(X) else 0.0
    if off > TOLERANCE * max(1.0, float(np.abs(predicted).max())):
        raise NotAdditiveError(f"{how} is off by {off:.2g}")
    return Contributions(schema.names, outputs_of(schema), space, how, values, base, predicted, X)


def outputs_of(schema: Schema) -> tuple[str, ...]:
    """What is explained: every class, class 1 alone of two, or the value."""
    labels = tuple(str(label) for label in schema.classes)
    return labels[1:] if len(labels) == 2 else labels or ("prediction",)
