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
    def of(cls, X: np.ndarray, y: np.ndarray, weight: np.ndarray, rare: np.ndarray | None = None) -> "Moments":
        """X: shape (rows, width). y: shape (rows, answers). weight: shape (rows,). rare: as `products` has it."""
        return cls(products(X, weight, rare), (X * weight[:, None]).T @ y, float(weight.sum()))

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
    def of(
        cls, X: np.ndarray, y: np.ndarray, weight: np.ndarray, beta: np.ndarray, rare: np.ndarray | None = None
    ) -> "Curve":
        """y: 0 or 1, shape (rows,). rare: as `products` has it; loss and gradient do not depend on it."""
        p = likely(X @ beta)
        hessian = products(X, weight * p * (1 - p), rare)
        return cls(float((weight * log_loss(X @ beta, y)).sum()), X.T @ (weight * (p - y)), hessian)

    def to_arrays(self) -> Arrays:
        return {"loss": np.array([self.loss]), "gradient": self.gradient, "hessian": self.hessian}


def penalised(curve: Arrays, beta: np.ndarray, strength: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Σ loss + ‖β‖² / (2 strength) with β_0 free: its value, gradient and curvature at β, as Newton's method takes it.

    curve: as `Curve` has it, at β, of all silos together.
    """
    free = np.array([0.0, *[1.0 / strength] * (len(beta) - 1)])
    flat = 1e-12 * max(1.0, float(np.trace(curve["hessian"])))  # where all probabilities are 0 or 1
    held = definite(curve["hessian"]) + np.diag(np.maximum(free, flat))
    return float(curve["loss"][0] + 0.5 * free @ beta**2), curve["gradient"] + free * beta, held


def likely(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))


def log_loss(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-y log p - (1 - y) log(1 - p) with p = 1 / (1 + exp(-z))."""
    return np.asarray(np.logaddexp(0.0, z) - y * z)


def definite(gram: np.ndarray) -> np.ndarray:
    """The gram with a covariance that has no negative eigenvalue, the nearest there is (Higham 1988); sums over silos
    of which some hold estimates may have one. Its first column, that of the ones, stays; so does all of a sound one.
    """
    total, mean = gram[0, 0], gram[0] / gram[0, 0] if gram[0, 0] > 0 else gram[0]
    apart = gram - total * np.outer(mean, mean)
    values, vectors = np.linalg.eigh(apart)
    if values[0] >= -1e-10 * max(1.0, values[-1]):
        return gram
    mended = (vectors * np.maximum(values, 0.0)) @ vectors.T + total * np.outer(mean, mean)
    mended[0], mended[:, 0] = gram[0], gram[:, 0]
    return np.asarray(mended)


def hidden(X: np.ndarray, parts: np.ndarray, least: int) -> np.ndarray:
    """X without what fewer than `least` rows have: such a column is 0 in all of them.

    parts: which columns are 0 outside of some rows, shape (width,).
    """
    return np.where(parts & ((X != 0).sum(axis=0) < least), 0.0, X)


def meetings(X: np.ndarray, parts: np.ndarray, least: int) -> np.ndarray:
    """Of each pair of columns that meet in some rows, but in fewer than `least`, how many these may be: as many as
    chance would have it, from 1 to least - 1. 0 for all other pairs. X: as `hidden` leaves it. Shape (width, width).

    It depends on how often each of the two is there, and on nothing that they have together.
    """
    there = ((X != 0) & parts).astype(np.float64)
    met, count = there.T @ there, there.sum(axis=0)
    chance = np.clip(np.outer(count, count) / len(X), 1.0, max(1.0, least - 1.0))
    return np.where((met > 0) & (met < least), chance, 0.0)


def products(X: np.ndarray, weight: np.ndarray, rare: np.ndarray | None = None) -> np.ndarray:
    """Σ w x xᵀ, shape (width, width). rare: as `meetings` has it; the sums of these pairs are not told, but that many
    rows times the mean weight and the two columns' means where they are not 0."""
    gram = X.T @ (X * weight[:, None])
    if rare is None or not rare.any():
        return np.asarray(gram)
    some = weight @ (X != 0)
    mean = np.divide(weight @ X, some, out=np.zeros(X.shape[1]), where=some > 0)
    return np.asarray(np.where(rare > 0, rare * weight.mean() * np.outer(mean, mean), gram))
