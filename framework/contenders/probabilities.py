"""Class probabilities in the shape that every model answers in."""

import numpy as np


def widen(probabilities: np.ndarray, codes: np.ndarray, classes: int) -> np.ndarray:
    """Columns for all classes, zero for those that training did not have; rows sum to 1.

    probabilities: shape (rows, len(codes)); codes: the class of each of its columns. Float64, shape (rows, classes).
    """
    wide = np.zeros((len(probabilities), classes))
    wide[:, np.asarray(codes, dtype=np.int64)] = probabilities
    total = wide.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(wide, total, out=np.full_like(wide, 1 / classes), where=total > 0))


def pair(second: np.ndarray) -> np.ndarray:
    """Both columns from the probability of class 1, shape (rows,)."""
    wide = np.empty((len(second), 2))
    wide[:, 1] = second
    wide[:, 0] = 1.0 - wide[:, 1]
    return wide


def loss(probabilities: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Log loss of these probabilities for the class codes y."""
    told = np.clip(probabilities[np.arange(len(y)), y], 1e-7, 1.0)
    return float(np.average(-np.log(told), weights=weight))
