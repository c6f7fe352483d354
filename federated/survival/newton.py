"""When Newton's method on a partial likelihood has found something, and when there is nothing to be found."""

import numpy as np

from federated.newton import Newton

LEVEL = 1e-6  # of the likelihood's logarithm: what a step gains where it rises no further
FAR = 0.05  # a step's part that is no rounding


def growing(way: Newton) -> np.ndarray:
    """Which coefficients still move though the likelihood does not rise any more: they have no bound."""
    level = 0.5 * float(way.gradient @ way.whole) < LEVEL
    return np.asarray((np.abs(way.whole) > FAR) & level)


def settled(way: Newton) -> bool:
    """A whole step from where the loss was least leads nowhere."""
    return float(np.abs(way.whole).max()) < 1e-6


def untold(hessian: np.ndarray) -> np.ndarray:
    """Which of the columns the rows cannot tell apart, or tell nothing of: those in the curvature's null space."""
    diagonal = np.diag(hessian)
    empty = diagonal <= 1e-10 * max(1e-300, float(diagonal.max(initial=0.0)))
    rest = np.flatnonzero(~empty)
    scale = np.sqrt(diagonal[rest])
    values, vectors = np.linalg.eigh(hessian[np.ix_(rest, rest)] / np.outer(scale, scale))
    told = empty.copy()
    told[rest] = (np.abs(vectors[:, values < 1e-9]) > 0.1).any(axis=1)
    return told
