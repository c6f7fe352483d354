"""Maps of probabilities and how their numbers are learned: softened, squeezed, or along a rising line."""

import math
from collections.abc import Callable

import numpy as np

from framework.contenders.probabilities import pair
from framework.metric import shares

SMALL = 1e-12


def each_class(predicted: np.ndarray, curve: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Each class by its own curve, rows then summing to 1."""
    if predicted.shape[1] == 2:
        return pair(curve(0, predicted[:, 1]))
    told = np.column_stack([curve(code, predicted[:, code]) for code in range(predicted.shape[1])])
    total = told.sum(axis=1, keepdims=True)
    return np.where(total > 0, told / np.where(total > 0, total, 1.0), predicted)


def softened(predicted: np.ndarray, temperature: float) -> np.ndarray:
    logs = np.log(np.clip(predicted, SMALL, None)) / temperature
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares(raised)


def temperature(predicted: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """T of the least log loss, from 1/20 to 20."""
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        told = softened(predicted, math.exp(log_t))[np.arange(len(y)), y]
        return float((weight * -np.log(np.clip(told, SMALL, None))).sum())

    return math.exp(minimize_scalar(loss, bounds=(-math.log(20), math.log(20)), method="bounded").x)


def platt(p: np.ndarray, hit: np.ndarray, weight: np.ndarray) -> list[tuple[float, ...]]:
    """(a, b) of the least log loss, of targets drawn in a little as Platt does."""
    from scipy.optimize import minimize

    hits, misses = float(weight[hit].sum()), float(weight[~hit].sum())
    target = np.where(hit, (hits + 1) / (hits + 2), 1 / (misses + 2))
    x, share = logit(p), weight / weight.sum()

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        z = ab[0] * x + ab[1]
        off = share * (sigmoid(z) - target)
        return float((share * (np.logaddexp(0, z) - target * z)).sum()), np.array([(off * x).sum(), off.sum()])

    a, b = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS", options={"gtol": 1e-6}).x
    return [(max(float(a), SMALL), float(b))]  # a falling map would turn the ranking round


def isotonic(p: np.ndarray, hit: np.ndarray, weight: np.ndarray) -> list[tuple[float, ...]]:
    """The points of a rising line; never quite 0 or 1, which no number of rows proves."""
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(p) + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(p, hit, sample_weight=weight)
    return [tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_))]


def logit(p: np.ndarray) -> np.ndarray:
    inside = np.clip(p, SMALL, 1 - SMALL)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))
