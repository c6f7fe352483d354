"""The same score again and again on resampled rows: each row's part in it is worked out once.

A resample is told by how often each row is in it; many of them are scored at once, as products of matrices where the
metric allows it. Every function is tested equal to `Metric.score`, which is slower by one to three orders.
"""

import math
from collections.abc import Callable

import numpy as np

from framework.data.frame import Truth
from framework.metric import Metric, shares, silhouettes, symmetric_errors

Rescore = Callable[[np.ndarray], np.ndarray]


def rescorer(metric: Metric, truth: Truth, predicted: np.ndarray) -> Rescore:
    """A function from counts, shape (resamples, rows), to the scores of these resamples, shape (resamples,).

    A resample that holds row i `counts[i]` times scores as `metric.score` of such rows does.
    For silhouette the positions stay those of the full sample: rows are numbered within `silhouettes(...)`.
    """
    if metric.name == "silhouette":
        return _mean(silhouettes(truth, predicted), None, metric.name)
    if truth.y is None or not np.isfinite(predicted).all():
        return lambda counts: np.full(len(counts), np.nan)
    if metric.name in LABEL_SCORES:
        return _matrix(truth, predicted, LABEL_SCORES[metric.name])
    if metric.name in CURVES:
        return _curve(truth, predicted, CURVES[metric.name])
    losses = _losses(metric.name, truth, predicted)
    if losses is not None:
        return _mean(losses, truth.weight, metric.name)
    if metric.name in ("r2", "adjusted_r2"):
        return _explained(truth, predicted, adjusted=metric.name == "adjusted_r2")
    return lambda counts: np.array([_plainly(metric, truth, predicted, each) for each in counts])


def _plainly(metric: Metric, truth: Truth, predicted: np.ndarray, counts: np.ndarray) -> float:
    rows = np.repeat(np.arange(len(counts)), counts.astype(np.int64))
    return metric.score(truth.take(rows), predicted[rows])


def per_row(metric: Metric, truth: Truth, predicted: np.ndarray) -> np.ndarray:
    """What each row adds to a metric that is a mean over rows, or its root, shape (rows,).

    Raises ValueError for a metric that is none.
    """
    losses = _losses(metric.name, truth, predicted)
    if losses is None:
        raise ValueError(f"{metric.name} is no mean over rows")
    return losses


def _losses(name: str, truth: Truth, predicted: np.ndarray) -> np.ndarray | None:
    """What each row adds to a metric that is a mean over rows (or its root); None for one that is not."""
    y = np.asarray(truth.y)
    if name == "accuracy":
        return np.asarray(predicted.argmax(axis=1) == y, dtype=np.float64)
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
    share = known.astype(np.float64) if weight is None else weight * known
    columns = np.column_stack([np.where(known, losses, 0.0) * share, share])
    root = name in ("rmse", "rmsle")

    def rescore(counts: np.ndarray) -> np.ndarray:
        above, below = (counts @ columns).T
        means = _ratio(above, below, empty=math.nan)
        return np.sqrt(means) if root else means

    return rescore


def _explained(truth: Truth, predicted: np.ndarray, *, adjusted: bool) -> Rescore:
    y = np.asarray(truth.y, dtype=np.float64)
    weight = np.ones(len(y)) if truth.weight is None else truth.weight
    centred = y - y.mean()  # else the squares of large values would drown their differences
    columns = np.column_stack([weight, weight * centred, weight * centred**2, weight * (y - predicted) ** 2])

    def rescore(counts: np.ndarray) -> np.ndarray:
        total, sums, squares, errors = (counts @ columns).T
        spread = squares - sums**2 / total
        r2 = 1 - _ratio(errors, np.where(spread > 1e-12 * squares, spread, 0.0), empty=math.nan)
        if not adjusted:
            return np.asarray(r2)
        rows = counts.sum(axis=1)
        free = rows - truth.features - 1
        return np.asarray(1 - (1 - r2) * _ratio(rows - 1, np.maximum(free, 0), empty=math.nan))

    return rescore


def _matrix(truth: Truth, predicted: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> Rescore:
    """Scores that are read off the confusion matrix (true class in rows, predicted in columns)."""
    classes = max(predicted.shape[1], 2)
    cells = np.asarray(truth.y) * classes + predicted.argmax(axis=1)
    seen, place = np.unique(cells, return_inverse=True)
    member = np.zeros((len(cells), len(seen)))
    member[np.arange(len(cells)), place] = 1.0 if truth.weight is None else truth.weight

    def rescore(counts: np.ndarray) -> np.ndarray:
        matrices = np.zeros((len(counts), classes**2))
        matrices[:, seen] = counts @ member
        return score(matrices.reshape(-1, classes, classes))

    return rescore


def _parts(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class: how often it was right, said, and true. matrix: shape (…, classes, classes)."""
    return matrix.diagonal(axis1=-2, axis2=-1), matrix.sum(axis=-2), matrix.sum(axis=-1)


def _per_class(score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Class 1's score of two classes; else the mean over the classes that the rows hold."""

    def of(matrix: np.ndarray) -> np.ndarray:
        hit, said, true = _parts(matrix)
        each = score(hit, said, true)
        return np.asarray(each[..., 1] if each.shape[-1] == 2 else _held(each, true))

    return of


def _held(each: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The mean over the classes that the rows hold."""
    return _ratio(np.where(true > 0, each, 0.0).sum(axis=-1), (true > 0).sum(axis=-1), empty=math.nan)


def _ratio(above: np.ndarray, below: np.ndarray, *, empty: float = 0.0) -> np.ndarray:
    """above / below; `empty` where below is not positive."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), empty, dtype=float), where=below > 0))


def _balanced(matrix: np.ndarray) -> np.ndarray:
    hit, _, true = _parts(matrix)
    return _held(_ratio(hit, true), true)


def _mcc(matrix: np.ndarray) -> np.ndarray:
    """Matthews' correlation over any number of classes (Gorodkin 2004)."""
    hit, said, true = _parts(matrix)
    total = true.sum(axis=-1)
    scale = np.sqrt(np.maximum(0.0, (total**2 - (said**2).sum(-1)) * (total**2 - (true**2).sum(-1))))
    return _ratio(hit.sum(axis=-1) * total - (true * said).sum(axis=-1), scale)


LABEL_SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "balanced_accuracy": _balanced,
    "precision": _per_class(lambda hit, said, true: _ratio(hit, said)),
    "recall": _per_class(lambda hit, said, true: _ratio(hit, true)),
    "f1": _per_class(lambda hit, said, true: _ratio(2 * hit, said + true)),
    "mcc": _mcc,
}


def _curve(truth: Truth, predicted: np.ndarray, area: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Rescore:
    """Areas under curves: rows are ranked once, a resample only counts what falls on each rank."""
    y = np.asarray(truth.y)
    ranked = [1] if predicted.shape[1] == 2 else range(predicted.shape[1])
    curves = [_ranks(predicted[:, code], y == code, truth.weight) for code in ranked]

    def rescore(counts: np.ndarray) -> np.ndarray:
        each = np.array([area(*falls(counts)) for falls in curves])
        known = np.isfinite(each)
        return _ratio(np.where(known, each, 0.0).sum(axis=0), known.sum(axis=0), empty=math.nan)

    return rescore


def _ranks(
    predicted: np.ndarray, hit: np.ndarray, weight: np.ndarray | None
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A function from counts to what falls on each rank, from the lowest up: of hits, and of misses."""
    order = np.argsort(predicted, kind="stable")
    values = predicted[order]
    starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
    signs = np.where(hit[order], 1.0, 0.0)
    shares = np.ones(len(order)) if weight is None else weight[order]

    def falls(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there = counts[:, order] * shares
        hits = there * signs
        misses = there - hits
        if len(starts) == len(order):
            return hits, misses
        return np.add.reduceat(hits, starts, axis=1), np.add.reduceat(misses, starts, axis=1)

    return falls


def _roc(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """The share of (hit, miss) pairs in the right order, a tie counting half (Mann & Whitney 1947)."""
    below = np.cumsum(misses, axis=1)
    pairs = hits.sum(axis=1) * below[:, -1]
    return _ratio(np.einsum("ij,ij->i", hits, below - misses / 2), pairs, empty=math.nan)


def _precision_recall(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """Average precision: each rank's precision, weighted by the recall gained there."""
    hits, misses = hits[:, ::-1], misses[:, ::-1]
    upto, wrong = np.cumsum(hits, axis=1), np.cumsum(misses, axis=1)
    areas = _ratio(np.einsum("ij,ij->i", hits, _ratio(upto, upto + wrong)), upto[:, -1], empty=math.nan)
    return np.where(wrong[:, -1] > 0, areas, math.nan)


CURVES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"roc_auc": _roc, "pr_auc": _precision_recall}
