"""The same score again and again on resampled rows: each row's part in it is worked out once.

Every function is tested equal to `Metric.score`, which is slower by one or two orders.
"""

import math
from collections.abc import Callable

import numpy as np

from framework.data.frame import Truth
from framework.metric import Metric, shares, silhouettes, symmetric_errors

Rescore = Callable[[np.ndarray], float]  # row numbers, repeats allowed → the score of those rows


def rescorer(metric: Metric, truth: Truth, predicted: np.ndarray) -> Rescore:
    """A function from row numbers to `metric.score(truth.take(rows), predicted[rows])`.

    For silhouette the positions stay those of the full sample: rows are numbered within `silhouettes(...)`.
    """
    if metric.name == "silhouette":
        return _mean(silhouettes(truth, predicted), None, metric.name)
    if truth.y is None or not np.isfinite(predicted).all():
        return lambda rows: math.nan
    if metric.name in LABEL_SCORES:
        return _matrix(truth, predicted, LABEL_SCORES[metric.name])
    if metric.name in CURVES:
        return _curve(truth, predicted, CURVES[metric.name])
    losses = _losses(metric.name, truth, predicted)
    if losses is not None:
        return _mean(losses, truth.weight, metric.name)
    if metric.name in ("r2", "adjusted_r2"):
        return _explained(truth, predicted, adjusted=metric.name == "adjusted_r2")
    return lambda rows: metric.score(truth.take(rows), predicted[rows])


def _losses(name: str, truth: Truth, predicted: np.ndarray) -> np.ndarray | None:
    """What each row adds to a metric that is a mean over rows (or its root); None for one that is not."""
    y = np.asarray(truth.y)
    if name in ("log_loss", "brier"):
        probability = shares(predicted)
        if name == "log_loss":
            least = np.finfo(np.float64).eps
            return np.asarray(-np.log(np.clip(probability[np.arange(len(y)), y], least, 1 - least)))
        squares = ((probability - np.eye(probability.shape[1])[y]) ** 2).sum(axis=1)
        return np.asarray(squares / 2 if probability.shape[1] == 2 else squares)
    error = y - predicted if predicted.ndim == 1 else np.zeros(0)
    match name:
        case "mae":
            return np.abs(error)
        case "rmse":
            return np.asarray(error**2)
        case "mape":
            return np.asarray(np.abs(error) / np.maximum(np.abs(y), np.finfo(np.float64).eps))
        case "pinball":
            return np.asarray(np.abs(error) / 2)
        case "pinball_90":
            return np.asarray(np.maximum(0.9 * error, -0.1 * error))
        case "rmsle" if y.min() >= 0:
            return np.asarray((np.log1p(y) - np.log1p(predicted.clip(0))) ** 2)
        case "mase" if truth.scale is not None:
            moving = np.isfinite(truth.scale) & (truth.scale > 0)
            ratio = np.divide(np.abs(error), truth.scale, out=np.full(len(y), np.nan), where=moving)
            return np.asarray(ratio)
        case "smape":
            return symmetric_errors(y, predicted)
    return None


def _mean(losses: np.ndarray, weight: np.ndarray | None, name: str) -> Rescore:
    known = np.isfinite(losses)
    each = np.where(known, losses, 0.0)
    share = known.astype(np.float64) if weight is None else weight * known
    root = name in ("rmse", "rmsle")

    def rescore(rows: np.ndarray) -> float:
        total = share[rows].sum()
        if total == 0:
            return math.nan
        mean = float(each[rows] @ share[rows] / total)
        return math.sqrt(mean) if root else mean

    return rescore


def _explained(truth: Truth, predicted: np.ndarray, *, adjusted: bool) -> Rescore:
    y = np.asarray(truth.y)
    weight = np.ones(len(y)) if truth.weight is None else truth.weight
    squares = (y - predicted) ** 2

    def rescore(rows: np.ndarray) -> float:
        w, values = weight[rows], y[rows]
        spread = float(w @ (values - w @ values / w.sum()) ** 2)
        if np.ptp(values) == 0:
            return math.nan
        r2 = 1 - float(w @ squares[rows]) / spread
        free = len(rows) - truth.features - 1
        if not adjusted:
            return r2
        return 1 - (1 - r2) * (len(rows) - 1) / free if free > 0 else math.nan

    return rescore


def _matrix(truth: Truth, predicted: np.ndarray, score: Callable[[np.ndarray], float]) -> Rescore:
    """Scores that are read off the confusion matrix (true class in rows, predicted in columns)."""
    classes = max(predicted.shape[1], 2)
    cells = np.asarray(truth.y) * classes + predicted.argmax(axis=1)

    def rescore(rows: np.ndarray) -> float:
        weight = None if truth.weight is None else truth.weight[rows]
        return score(np.bincount(cells[rows], weights=weight, minlength=classes**2).reshape(classes, classes))

    return rescore


def _per_class(score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Callable[[np.ndarray], float]:
    """Class 1's score of two classes; else the mean over the classes that the rows hold."""

    def of(matrix: np.ndarray) -> float:
        each = score(matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1))
        return float(each[1] if len(each) == 2 else each[matrix.sum(axis=1) > 0].mean())

    return of


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(above, below, out=np.zeros(len(above)), where=below > 0))


def _balanced(matrix: np.ndarray) -> float:
    seen = matrix.sum(axis=1)
    return float((matrix.diagonal()[seen > 0] / seen[seen > 0]).mean())


def _mcc(matrix: np.ndarray) -> float:
    """Matthews' correlation over any number of classes (Gorodkin 2004)."""
    total, true, said = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0)
    scale = math.sqrt(max(0.0, float((total**2 - said @ said) * (total**2 - true @ true))))
    return float((matrix.trace() * total - true @ said) / scale) if scale else 0.0


LABEL_SCORES: dict[str, Callable[[np.ndarray], float]] = {
    "accuracy": lambda matrix: float(matrix.trace() / matrix.sum()),
    "balanced_accuracy": _balanced,
    "precision": _per_class(lambda hit, said, true: _ratio(hit, said)),
    "recall": _per_class(lambda hit, said, true: _ratio(hit, true)),
    "f1": _per_class(lambda hit, said, true: _ratio(2 * hit, said + true)),
    "mcc": lambda matrix: _mcc(matrix.astype(np.float64)),
}


def _curve(truth: Truth, predicted: np.ndarray, area: Callable[[np.ndarray, np.ndarray], float]) -> Rescore:
    """Areas under curves: rows are ranked once, a resample only counts what falls on each rank."""
    y = np.asarray(truth.y)
    ranked = [1] if predicted.shape[1] == 2 else range(predicted.shape[1])
    ranks = [(code, *np.unique(predicted[:, code], return_inverse=True)) for code in ranked]

    def rescore(rows: np.ndarray) -> float:
        weight = np.ones(len(rows)) if truth.weight is None else truth.weight[rows]
        areas = []
        for code, levels, place in ranks:
            hit = y[rows] == code
            if not 0 < np.count_nonzero(hit) < len(rows):
                continue
            positive = np.bincount(place[rows], weights=weight * hit, minlength=len(levels))
            areas.append(area(positive, np.bincount(place[rows], weights=weight * ~hit, minlength=len(levels))))
        return float(np.mean(areas)) if areas else math.nan

    return rescore


def _roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The share of (positive, negative) pairs in the right order, a tie counting half (Mann & Whitney 1947)."""
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / (positive.sum() * negative.sum()))


def _precision_recall(positive: np.ndarray, negative: np.ndarray) -> float:
    """Average precision: each rank's precision, weighted by the recall gained there."""
    hits, misses = np.cumsum(positive[::-1]), np.cumsum(negative[::-1])
    return float(positive[::-1] @ _ratio(hits, hits + misses) / hits[-1])


CURVES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"roc_auc": _roc, "pr_auc": _precision_recall}
