"""What silos add up for a linear model, and what becomes of the sums. Pure numpy, no silo's rows beside its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.wire import Arrays


@dataclass(frozen=True)
class Moments:
    """Σ w x xᵀ, shape (width, width), Σ w x y, shape (width, answers), and Σ w: of rows x, answers y, weights w."""

    gram: np.ndarray
    cross: np.ndarray
    weight: float

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> "Moments":
        """X: shape (rows, width). y: shape (rows, answers). weight: shape (rows,)."""
        weighted = X * weight[:, None]
        return cls(X.T @ weighted, weighted.T @ y, float(weight.sum()))

    def to_arrays(self) -> Arrays:
        return {"gram": self.gram, "cross": self.cross, "weight": np.array([self.weight])}


def added(parts: Sequence[Arrays]) -> Arrays:
    """Σ over silos, name by name."""
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


def ridge(gram: np.ndarray, cross: np.ndarray, penalty: float) -> np.ndarray:
    """argmin Σ w (y - xᵀβ)² + penalty ‖β‖² with β_0, of the column of ones, free (Hoerl, Kennard 1970).

    gram: (width, width), its first column that of the ones. cross: shape (width, answers). Returns the same shape.
    """
    held = gram + np.diag([0.0, *[penalty] * (len(gram) - 1)])
    return np.asarray(np.linalg.solve(held, cross))


@dataclass(frozen=True)
class Curve:
    """Of the log loss at β: its sum, its gradient Σ w x (p - y), shape (width,), and its curvature Σ w p (1 - p) x xᵀ,
    shape (width, width)."""

    loss: float
    gradient: np.ndarray
    hessian: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, weight: np.ndarray, beta: np.ndarray) -> "Curve":
        """y: 0 or 1, shape (rows,)."""
        p = likely(X @ beta)
        hessian = X.T @ (X * (weight * p * (1 - p))[:, None])
        return cls(float((weight * log_loss(X @ beta, y)).sum()), X.T @ (weight * (p - y)), hessian)

    def to_arrays(self) -> Arrays:
        return {"loss": np.array([self.loss]), "gradient": self.gradient, "hessian": self.hessian}


class Descent:
    """Newton's method on Σ loss + ‖β‖² / (2 strength), β_0 free, from 0 on. A step that does not descend is halved.

    beta: shape (width,), where the silos are to look next. close: how long the longest part of a step was that ended
    it; `done` once it has.
    """

    def __init__(self, width: int, strength: float, close: float = 1e-10) -> None:
        self.beta, self.close, self.done = np.zeros(width), close, False
        self._free = np.array([0.0, *[1.0 / strength] * (width - 1)])
        self._from, self._step, self._loss = self.beta, np.zeros(width), np.inf

    def go(self, curve: Arrays) -> None:
        """curve: as `Curve` has it, at `beta`, of all silos together."""
        loss = float(curve["loss"][0] + 0.5 * self._free @ self.beta**2)
        if loss > self._loss + 1e-12 * abs(self._loss):
            self._step = self._step / 2
        else:
            flat = 1e-12 * max(1.0, float(np.trace(curve["hessian"])))  # where all probabilities are 0 or 1
            held = curve["hessian"] + np.diag(np.maximum(self._free, flat))
            self._from, self._loss = self.beta, loss
            self._step = np.linalg.solve(held, curve["gradient"] + self._free * self.beta)
        self.beta = self._from - self._step
        self.done = float(np.abs(self._step).max()) < self.close


def likely(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))


def log_loss(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-y log p - (1 - y) log(1 - p) with p = 1 / (1 + exp(-z))."""
    return np.asarray(np.logaddexp(0.0, z) - y * z)


def hidden(X: np.ndarray, parts: np.ndarray, least: int) -> np.ndarray:
    """X with every sum of x_i x_j over fewer than `least` rows gone, and the rows' own values left for all others.

    parts: which columns are 0 outside of some rows, shape (width,). Where two of them meet in fewer rows than that,
    the rarer one is set to 0 in these rows, as though it were not known of them; so is one that has fewer altogether.
    """
    X, places = X.copy(), np.flatnonzero(parts)
    while least > 1:
        there = X[:, places] != 0
        meet = there.T.astype(np.float64) @ there
        count = np.diag(meet)
        first, second = np.nonzero(np.triu((meet > 0) & (meet < least)))
        if not len(first):
            break
        for one, other in zip(first, second, strict=True):
            rarer = one if count[one] <= count[other] else other
            X[there[:, one] & there[:, other], places[rarer]] = 0.0
    return X
