"""How an answer is scored: each metric with its direction, its printed name and the questions it fits."""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cluster.user_error import UserError
from framework.data.frame import Truth
from framework.problem import Kind

Direction = Literal["max", "min"]
Formula = Callable[[Truth, np.ndarray], float]

CLASSES: frozenset[Kind] = frozenset({"binary", "multiclass"})
VALUES: frozenset[Kind] = frozenset({"regression", "forecast"})
FORECASTS: frozenset[Kind] = frozenset({"forecast"})
CLUSTERS: frozenset[Kind] = frozenset({"clustering"})

SILHOUETTE_ROWS = 2_000  # every row meets every other: more would cost seconds for the third digit


class MetricError(UserError):
    """A metric that is unknown, or contradicts the question or its rows."""


@dataclass(frozen=True)
class Metric:
    """A number that says how good predictions are, in its natural units: never sign-flipped.

    direction: "max" where more is better. kinds: the questions it can score.
    formula: (truth, predicted) → the score; `predicted` as `Model.predict` gives it.
    """

    name: str
    title: str
    direction: Direction
    kinds: frozenset[Kind]
    formula: Formula

    @property
    def sign(self) -> int:
        """1 where more is better, else -1: what scores are multiplied by to be compared."""
        return 1 if self.direction == "max" else -1

    def score(self, truth: Truth, predicted: np.ndarray) -> float:
        """The score of probabilities (rows, classes), values (rows,) or cluster labels (rows,).

        nan where it cannot be told: no rows, a prediction that is not finite, a class or a spread missing in `truth`.
        """
        if len(truth) == 0 or not np.isfinite(predicted).all():
            return math.nan
        return float(self.formula(truth, np.asarray(predicted)))

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`; any number beats nan."""
        if math.isnan(a) or math.isnan(b):
            return not math.isnan(a)
        return self.sign * a > self.sign * b

    def check(self, kind: Kind) -> None:
        """Raises MetricError when this metric cannot score such a question, naming those that can."""
        if kind not in self.kinds:
            fitting = ", ".join(name for name, each in METRICS.items() if kind in each.kinds)
            raise MetricError(f"metric {self.name!r} cannot score kind={kind!r}. Take one of: {fitting}.")


def metric(name: str) -> Metric:
    """The metric of this name; case, spaces and hyphens do not matter. Raises MetricError with the nearest name."""
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    if plain in METRICS:
        return METRICS[plain]
    near = difflib.get_close_matches(plain, METRICS, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(METRICS)}."
    raise MetricError(f"metric {name!r} is unknown. {hint}")


def _labels(function: str, **options: Any) -> Formula:
    """A scikit-learn score of the likeliest class; averaged over classes where there are more than two."""

    def formula(truth: Truth, predicted: np.ndarray) -> float:
        import sklearn.metrics as learned

        averaged = "average" in options and truth.classes > 2
        asked = options | ({"average": "macro", "labels": np.unique(_answers(truth))} if averaged else {})
        return float(getattr(learned, function)(truth.y, predicted.argmax(axis=1), sample_weight=truth.weight, **asked))

    return formula


def _ranking(function: str) -> Formula:
    """A scikit-learn score of how class 1 is ranked; over more than two classes the mean of one against the rest."""

    def formula(truth: Truth, predicted: np.ndarray) -> float:
        import sklearn.metrics as learned

        codes, scorer = _answers(truth), getattr(learned, function)
        ranked = [1] if predicted.shape[1] == 2 else range(predicted.shape[1])
        each = [
            scorer(codes == code, predicted[:, code], sample_weight=truth.weight)
            for code in ranked
            if 0 < np.count_nonzero(codes == code) < len(codes)
        ]
        return float(np.mean(each)) if each else math.nan

    return formula


def _values(function: str, *, root: bool = False, **options: Any) -> Formula:
    """A scikit-learn score of values."""

    def formula(truth: Truth, predicted: np.ndarray) -> float:
        import sklearn.metrics as learned

        found = float(getattr(learned, function)(truth.y, predicted, sample_weight=truth.weight, **options))
        return math.sqrt(found) if root else found

    return formula


def _log_loss(truth: Truth, predicted: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(truth.y, shares(predicted), sample_weight=truth.weight, labels=range(predicted.shape[1])))


def _brier(truth: Truth, predicted: np.ndarray) -> float:
    from sklearn.metrics import brier_score_loss

    labels = range(predicted.shape[1])
    probability = predicted[:, 1] if predicted.shape[1] == 2 else shares(predicted)
    return float(brier_score_loss(truth.y, probability, sample_weight=truth.weight, labels=labels))


def _r2(truth: Truth, predicted: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    if len(truth) < 2 or np.ptp(_answers(truth)) == 0:
        return math.nan
    return float(r2_score(truth.y, predicted, sample_weight=truth.weight))


def _adjusted_r2(truth: Truth, predicted: np.ndarray) -> float:
    """1 - (1 - R²) (n - 1) / (n - p - 1), over n rows and p features; nan with too few rows."""
    free = len(truth) - truth.features - 1
    return 1 - (1 - _r2(truth, predicted)) * (len(truth) - 1) / free if free > 0 else math.nan


def _rmsle(truth: Truth, predicted: np.ndarray) -> float:
    """Root mean squared error of log(1 + value); a prediction below 0 counts as 0."""
    from sklearn.metrics import root_mean_squared_log_error

    least = _answers(truth).min()
    if least < 0:
        raise MetricError(f"metric 'rmsle' needs a target that is never negative; the least is {least:g}. Take 'rmse'.")
    return float(root_mean_squared_log_error(truth.y, predicted.clip(0), sample_weight=truth.weight))


def _mase(truth: Truth, predicted: np.ndarray) -> float:
    """Mean of |error| / scale: 1 is the seasonal naive forecast (Hyndman & Koehler 2006). Flat series are left out."""
    if truth.scale is None:
        raise MetricError("metric 'mase' needs each row's scale, which only forecasts have. Take 'mae'.")
    moving = np.isfinite(truth.scale) & (truth.scale > 0)
    if not moving.any():
        return math.nan
    weight = None if truth.weight is None else truth.weight[moving]
    return float(np.average(np.abs(_answers(truth) - predicted)[moving] / truth.scale[moving], weights=weight))


def _smape(truth: Truth, predicted: np.ndarray) -> float:
    """Mean of 2 |error| / (|value| + |forecast|), from 0 to 2 (M4 competition, there in percent); 0/0 counts as 0."""
    return float(np.average(symmetric_errors(_answers(truth), predicted), weights=truth.weight))


def _silhouette(truth: Truth, predicted: np.ndarray) -> float:
    return float(np.mean(silhouettes(truth, predicted)))


def shares(predicted: np.ndarray) -> np.ndarray:
    """Probabilities as float64 whose rows sum to 1 to the last digit, which float32 ones do not."""
    exact = predicted.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))


def symmetric_errors(values: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """2 |error| / (|value| + |forecast|) of each row."""
    size = np.abs(values) + np.abs(predicted)
    return np.asarray(np.divide(2 * np.abs(values - predicted), size, out=np.zeros(len(size)), where=size > 0))


def silhouettes(truth: Truth, predicted: np.ndarray) -> np.ndarray:
    """Each row's silhouette in the standardised space, of at most 2,000 rows drawn by a fixed seed.

    A noise row (label -1) counts 0, as a cluster of one does (Rousseeuw 1987): leaving rows out cannot lift the mean.
    Every row -1 where there are fewer than two clusters: nothing was told apart.
    """
    from sklearn.metrics import silhouette_samples

    if truth.space is None:
        raise MetricError("metric 'silhouette' needs the rows' positions, which only clustering has.")
    space, labels = truth.space, predicted
    if len(labels) > SILHOUETTE_ROWS:
        drawn = np.random.default_rng(0).choice(len(labels), SILHOUETTE_ROWS, replace=False)
        space, labels = space[drawn], labels[drawn]
    placed = labels >= 0
    found = len(np.unique(labels[placed]))
    each = np.zeros(len(labels))
    if found < 2:
        return np.full(len(labels), -1.0)
    if found < placed.sum():  # with every row a cluster of its own all count 0
        each[placed] = silhouette_samples(space[placed], labels[placed])
    return each


def _answers(truth: Truth) -> np.ndarray:
    if truth.y is None:
        raise MetricError("this metric needs answers, and clustering has none. Take 'silhouette'.")
    return truth.y


METRICS: dict[str, Metric] = {
    each.name: each
    for each in (
        Metric("accuracy", "accuracy", "max", CLASSES, _labels("accuracy_score")),
        Metric("balanced_accuracy", "balanced accuracy", "max", CLASSES, _labels("balanced_accuracy_score")),
        Metric("precision", "precision", "max", CLASSES, _labels("precision_score", average="binary", zero_division=0)),
        Metric("recall", "recall", "max", CLASSES, _labels("recall_score", average="binary", zero_division=0)),
        Metric("f1", "F1", "max", CLASSES, _labels("f1_score", average="binary", zero_division=0)),
        Metric("roc_auc", "ROC AUC", "max", CLASSES, _ranking("roc_auc_score")),
        Metric("pr_auc", "PR AUC", "max", CLASSES, _ranking("average_precision_score")),
        Metric("log_loss", "log loss", "min", CLASSES, _log_loss),
        Metric("brier", "Brier score", "min", CLASSES, _brier),
        Metric("mcc", "MCC", "max", CLASSES, _labels("matthews_corrcoef")),
        Metric("mae", "MAE", "min", VALUES, _values("mean_absolute_error")),
        Metric("rmse", "RMSE", "min", VALUES, _values("mean_squared_error", root=True)),
        Metric("mape", "MAPE", "min", VALUES, _values("mean_absolute_percentage_error")),
        Metric("r2", "R²", "max", VALUES, _r2),
        Metric("adjusted_r2", "adjusted R²", "max", VALUES, _adjusted_r2),
        Metric("pinball", "pinball loss", "min", VALUES, _values("mean_pinball_loss", alpha=0.5)),
        Metric("pinball_90", "pinball loss at 90 %", "min", VALUES, _values("mean_pinball_loss", alpha=0.9)),
        Metric("rmsle", "RMSLE", "min", VALUES, _rmsle),
        Metric("mase", "MASE", "min", FORECASTS, _mase),
        Metric("smape", "sMAPE", "min", FORECASTS, _smape),
        Metric("silhouette", "silhouette", "max", CLUSTERS, _silhouette),
    )
}
