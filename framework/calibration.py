"""Probabilities that mean what they say: a map from what a model told to how often it came true."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np

from cluster.user_error import UserError
from framework.contenders.probabilities import pair
from framework.data.frame import Truth
from framework.metric import metric, shares
from framework.rescoring import per_row

Method = Literal["none", "temperature", "platt", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)
LEAST_ROWS = 50  # from which a map is learned; each class needs LEAST_EACH of them
LEAST_EACH = 5
PARTS = 5  # rows are dealt into so many parts to see whether a map helps on rows that it was not learned from
SURE = 1.0  # standard errors by which the held-out Brier score must improve
SMALL = 1e-12


class CalibrationError(UserError):
    """A method that is none, or rows that cannot be calibrated on."""


@dataclass(frozen=True)
class Calibration:
    """A map of probabilities. curves: its numbers, of each class; plain data.

    "none": as they are. "temperature": softmax(log p / T), T = curves[0][0] (Guo et al. 2017).
    "platt": sigmoid(a logit p + b) of each class, rows then summing to 1; (a, b) = curves[class] (Platt 1999).
    "isotonic": a rising line through the points x, y = curves[2 class], curves[2 class + 1] (Zadrozny & Elkan 2002).
    Of two classes there is one curve, class 1's.
    """

    method: Method = "none"
    curves: tuple[tuple[float, ...], ...] = ()

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """Calibrated probabilities; both of shape (rows, classes)."""
        if self.method == "none":
            return predicted
        if self.method == "temperature":
            return _softened(predicted, self.curves[0][0])
        if self.method == "platt":
            return _each(predicted, lambda code, p: _sigmoid(self.curves[code][0] * _logit(p) + self.curves[code][1]))
        return _each(predicted, lambda code, p: np.interp(p, self.curves[2 * code], self.curves[2 * code + 1]))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        if data["method"] not in METHODS:
            raise ValueError(f"there is no calibration {data['method']!r}")
        return cls(data["method"], tuple(tuple(map(float, curve)) for curve in data["curves"]))


@dataclass(frozen=True)
class Checked:
    """A map and what it is worth. before, after: the Brier score of the rows without a map and with it, each row's map
    learned without that row's part."""

    calibration: Calibration
    before: float
    after: float

    def __str__(self) -> str:
        if self.calibration.method == "none":
            return "its probabilities are kept as they are: no calibration improves them on held-out rows"
        return f"calibrated ({self.calibration.method}): held-out Brier score {self.before:.4f} → {self.after:.4f}"


def calibrate(
    predicted: np.ndarray, truth: Truth, *, method: Method | Literal["auto"] = "auto", seed: int = 0
) -> Checked:
    """The map that makes these probabilities honest; none where it does not help on rows that it was not learned from.

    predicted: shape (rows, classes), told by a model that has not learned from these rows (out-of-fold, or validation).
    method: "auto": the one with the best held-out Brier score. It is kept where it improves that score by more than a
    standard error. Whole groups stay together. Raises CalibrationError for another method, or rows without classes.
    """
    if method != "auto" and method not in METHODS:
        raise CalibrationError(f"calibration method {method!r} is unknown; it is one of auto, {', '.join(METHODS)}.")
    if truth.y is None or predicted.ndim != 2:
        raise CalibrationError("only classes have probabilities to calibrate, and these rows have none.")
    brier = metric("brier")
    before = brier.score(truth, predicted)
    unchanged = Checked(Calibration(), before, before)
    tried = [m for m in METHODS if m != "none"] if method == "auto" else [method]
    held = np.bincount(truth.y, minlength=predicted.shape[1])
    if method == "none" or len(truth) < LEAST_ROWS or held[held > 0].min() < LEAST_EACH or (held > 0).sum() < 2:
        return unchanged
    crossed = {each: _crossed(each, predicted, truth, seed) for each in tried}
    best = min(tried, key=lambda each: brier.score(truth, crossed[each]))
    after = brier.score(truth, crossed[best])
    gained = per_row(brier, truth, predicted) - per_row(brier, truth, crossed[best])
    if not after < before or gained.mean() <= SURE * gained.std() / math.sqrt(len(gained)):
        return unchanged
    return Checked(learn(best, predicted, truth), before, after)


def learn(method: Method, predicted: np.ndarray, truth: Truth) -> Calibration:
    """The map of one method, from all these rows, whether it helps or not."""
    y = np.asarray(truth.y)
    weight = np.ones(len(y)) if truth.weight is None else truth.weight
    if method == "none":
        return Calibration()
    if method == "temperature":
        return Calibration(method, ((_temperature(predicted, y, weight),),))
    codes = [1] if predicted.shape[1] == 2 else list(range(predicted.shape[1]))
    learned = _platt if method == "platt" else _isotonic
    curves = [curve for code in codes for curve in learned(predicted[:, code], y == code, weight)]
    return Calibration(method, tuple(curves))


def _crossed(method: Method, predicted: np.ndarray, truth: Truth, seed: int) -> np.ndarray:
    """Each row by a map that was learned without it."""
    units = np.arange(len(truth)) if truth.group is None else np.unique(truth.group, return_inverse=True)[1]
    part = np.random.default_rng(seed).permutation(int(units.max()) + 1)[units] % PARTS
    told = np.array(predicted, dtype=np.float64)
    for each in np.unique(part):
        rest, held = np.flatnonzero(part != each), np.flatnonzero(part == each)
        if len(rest):
            told[held] = learn(method, predicted[rest], truth.take(rest)).apply(predicted[held])
    return told


def _each(predicted: np.ndarray, curve: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Each class by its own curve, rows then summing to 1."""
    if predicted.shape[1] == 2:
        return pair(curve(0, predicted[:, 1]))
    told = np.column_stack([curve(code, predicted[:, code]) for code in range(predicted.shape[1])])
    total = told.sum(axis=1, keepdims=True)
    return np.where(total > 0, told / np.where(total > 0, total, 1.0), predicted)


def _softened(predicted: np.ndarray, temperature: float) -> np.ndarray:
    logs = np.log(np.clip(predicted, SMALL, None)) / temperature
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares(raised)


def _temperature(predicted: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """T of the least log loss, from 1/20 to 20."""
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        told = _softened(predicted, math.exp(log_t))[np.arange(len(y)), y]
        return float(weight @ -np.log(np.clip(told, SMALL, None)))

    return math.exp(minimize_scalar(loss, bounds=(-math.log(20), math.log(20)), method="bounded").x)


def _platt(p: np.ndarray, hit: np.ndarray, weight: np.ndarray) -> list[tuple[float, ...]]:
    """(a, b) of the least log loss, of targets drawn in a little as Platt does."""
    from scipy.optimize import minimize

    hits, misses = float(weight[hit].sum()), float(weight[~hit].sum())
    target = np.where(hit, (hits + 1) / (hits + 2), 1 / (misses + 2))
    x = _logit(p)

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        z = ab[0] * x + ab[1]
        off = weight * (_sigmoid(z) - target)
        return float(weight @ (np.logaddexp(0, z) - target * z)), np.array([off @ x, off.sum()])

    a, b = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return [(max(float(a), SMALL), float(b))]  # a falling map would turn the ranking round


def _isotonic(p: np.ndarray, hit: np.ndarray, weight: np.ndarray) -> list[tuple[float, ...]]:
    """The points of a rising line; never quite 0 or 1, which no number of rows proves."""
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(p) + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(p, hit, sample_weight=weight)
    return [tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_))]


def _logit(p: np.ndarray) -> np.ndarray:
    inside = np.clip(p, SMALL, 1 - SMALL)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))
