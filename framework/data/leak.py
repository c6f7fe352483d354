"""Columns that know the answer: each alone predicts the target (almost) perfectly."""

import numpy as np
import pandas as pd

from framework.data.frame import Truth
from framework.problem import Problem

LEAST_ROWS = 30  # in fewer rows a perfect column is luck
_SAMPLE = 10_000
_PERFECT = 0.999  # ROC AUC, or balanced accuracy with more than two classes
_PROPORTIONAL = 0.9999  # correlation


def leaks(X: pd.DataFrame, truth: Truth, problem: Problem, seed: int = 0) -> dict[str, float]:
    """The columns that alone predict the target of unseen rows almost perfectly, each with its score.

    A small decision tree on one column learns from half a sample of at most 10,000 rows and is judged on the other
    half: ROC AUC (binary) or balanced accuracy (multiclass), ≥ 0.999; or the correlation with the target, ≥ 0.9999.
    """
    if truth.y is None or len(X) < LEAST_ROWS:
        return {}
    order = np.random.default_rng(seed).permutation(len(X))[:_SAMPLE]
    left, right = order[: len(order) // 2], order[len(order) // 2 :]
    y = truth.y
    if problem.classified and (len(np.unique(y[left])) < 2 or len(np.unique(y[right])) < 2):
        return {}
    found: dict[str, float] = {}
    for name in X.columns:
        if name == problem.time or X[name].dtype == object:
            continue
        values = _ordered(X[name], y, left)
        score = _class_score(values, y, left, right) if problem.classified else _correlation(values, y, left, right)
        if score >= (_PERFECT if problem.classified else _PROPORTIONAL):
            found[str(name)] = round(score, 6)
    return found


def _ordered(column: pd.Series, y: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """The column as numbers, NaN where missing; categories as the mean answer of their learned rows."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int64)
        counts = np.bincount(codes[learned] + 1, minlength=len(column.cat.categories) + 1)
        sums = np.bincount(codes[learned] + 1, weights=y[learned], minlength=len(counts))
        means = np.where(counts > 0, sums / np.maximum(counts, 1), y[learned].mean())
        return np.asarray(means[codes + 1])
    if column.dtype.kind == "M":
        moments = column.to_numpy()
        return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
    return column.to_numpy(dtype=np.float64)


def _class_score(values: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.tree import DecisionTreeClassifier

    classes = int(y.max()) + 1
    tree = DecisionTreeClassifier(max_leaf_nodes=max(16, 4 * classes), class_weight="balanced", random_state=0)
    tree.fit(values[left, None], y[left])
    if classes == 2:
        return float(roc_auc_score(y[right], tree.predict_proba(values[right, None])[:, 1]))
    return float(balanced_accuracy_score(y[right], tree.predict(values[right, None])))


def _correlation(values: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    rows = right[~np.isnan(values[right])]
    if len(rows) < LEAST_ROWS // 2 or len(rows) < 0.5 * len(right) or np.ptp(values[rows]) == 0 or np.ptp(y[rows]) == 0:
        return 0.0
    return float(abs(np.corrcoef(values[rows], y[rows])[0, 1]))
