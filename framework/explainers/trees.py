"""Exact Shapley values of tree ensembles (TreeSHAP: Lundberg et al. 2020), summed back to the raw columns.

XGBoost, LightGBM and CatBoost compute them themselves; forests need the package shap.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.contenders.native import Native
from framework.data.schema import Schema
from framework.explainers.contributions import Contributions, NotAdditiveError, checked, outputs_of

if TYPE_CHECKING:
    from framework.contenders.catboost import CatBoostModel
    from framework.contenders.lightgbm import LightGBMModel
    from framework.contenders.sklearn_model import SklearnModel
    from framework.contenders.xgboost import XGBoostModel

MANY_ROWS = 200  # from which contributions are worth more than one thread


def xgboost_values(model: "XGBoostModel", schema: Schema, X: pd.DataFrame) -> Contributions:
    import xgboost

    kinds = ["c" if code else "q" for code in model.native.categorical]
    rows = xgboost.DMatrix(model.native.matrix(X), feature_types=kinds, enable_categorical=True)
    many = len(X) >= MANY_ROWS
    if many:
        model.booster.set_param({"nthread": 0})  # as many as OMP_NUM_THREADS or the machine has
    told = model.booster.predict(rows, pred_contribs=True, validate_features=False)
    if many:
        model.booster.set_param({"nthread": 1})
    margin = model.booster.predict(rows, output_margin=True, validate_features=False)
    told = told.reshape(len(X), -1, told.shape[-1])
    return _boosted(X, schema, model, told, margin.reshape(len(X), -1), how="TreeSHAP in XGBoost")


def lightgbm_values(model: "LightGBMModel", schema: Schema, X: pd.DataFrame) -> Contributions:
    rows = model.native.matrix(X)
    margin = np.asarray(model.booster.predict(rows, raw_score=True)).reshape(len(X), -1)
    told = np.asarray(model.booster.predict(rows, pred_contrib=True)).reshape(len(X), margin.shape[1], -1)
    return _boosted(X, schema, model, told, margin, how="TreeSHAP in LightGBM")


def catboost_values(model: "CatBoostModel", schema: Schema, X: pd.DataFrame) -> Contributions:
    pool = model.pool(X)
    margin = np.asarray(model.booster.predict(pool, prediction_type="RawFormulaVal", thread_count=1))
    told = np.asarray(model.booster.get_feature_importance(pool, type="ShapValues", thread_count=1))
    told, margin = told.reshape(len(X), -1, told.shape[-1]), margin.reshape(len(X), -1)
    return _boosted(X, schema, model, told, margin, how="TreeSHAP in CatBoost")


def forest_values(model: "SklearnModel", schema: Schema, X: pd.DataFrame) -> Contributions:
    """In probabilities, or in values; a forest that learned the logarithm is explained in it."""
    import shap

    rows = model.columns.matrix(X)
    tree = shap.TreeExplainer(model.estimator, feature_perturbation="tree_path_dependent")
    told = tree(rows, check_additivity=False)
    values = np.asarray(told.values, dtype=np.float64).reshape(len(X), rows.shape[1], -1)
    base = np.asarray(told.base_values, dtype=np.float64).reshape(len(X), -1)[0]
    outputs, how = outputs_of(schema), "TreeSHAP of the package shap"
    if model.classes:
        predicted = np.asarray(model.estimator.predict_proba(rows))
        if values.shape[2] != model.classes:
            raise NotAdditiveError("the forest has not seen every class")
        first = 1 if model.classes == 2 else 0
        columns = by_column(values[:, :, first:], model.columns)
        found = Contributions(schema.names, outputs, "probability", how, columns, base[first:], predicted[:, first:], X)
        return checked(found)
    scale, shift = model.target.scale, model.target.shift
    predicted = np.asarray(model.estimator.predict(rows)).reshape(-1, 1) * scale + shift
    space = "logarithm of the value" if model.target.logged else "value"
    columns = by_column(values, model.columns) * scale
    return checked(Contributions(schema.names, outputs, space, how, columns, base * scale + shift, predicted, X))


def by_column(values: np.ndarray, native: Native) -> np.ndarray:
    """Contributions of the matrix's columns, shape (rows, width, outputs), added up to the raw columns they come of."""
    starts = np.cumsum([0, *(width for _, width in native.widths)])[:-1]
    return np.asarray(np.add.reduceat(values, starts, axis=1))


def _boosted(
    X: pd.DataFrame, schema: Schema, model: Any, told: np.ndarray, margin: np.ndarray, *, how: str
) -> Contributions:
    """told: contributions with the base as last feature, shape (rows, outputs, width + 1); margin: (rows, outputs)."""
    told, margin = told.astype(np.float64), margin.astype(np.float64)
    values = by_column(np.moveaxis(told[:, :, :-1], 1, 2), model.native)
    space = "log-odds" if model.classes else "value"
    return checked(Contributions(schema.names, outputs_of(schema), space, how, values, told[0, :, -1], margin, X))
