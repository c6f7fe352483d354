"""Newton's method on sums, which says when there is nothing to be found."""

import numpy as np

NEAR = 1e-10  # the longest part of the step that ends it
LEVEL = 1e-6  # of the likelihood's logarithm: what a step gains where it rises no further
FAR = 0.05  # a step's part that is no rounding


class Newton:
    """On a loss whose curvature is none below 0, from `beta` on. A step that does not descend is halved.

    beta: shape (width,), where to look next. at: where the loss was least; loss, gradient, hessian: there.
    """

    def __init__(self, beta: np.ndarray) -> None:
        self.beta = self.at = beta
        self.loss = np.inf
        self.gradient = np.zeros(len(beta))
        self.hessian = np.zeros((len(beta), len(beta)))
        self._whole = np.zeros(len(beta))
        self._step = np.full(len(beta), np.inf)

    def go(self, loss: float, gradient: np.ndarray, hessian: np.ndarray) -> None:
        """Takes what was found at `beta`."""
        if not loss <= self.loss + 1e-12 * abs(min(self.loss, 1e300)):  # nan too
            self._step = self._step / 2
        else:
            self.at, self.loss, self.gradient, self.hessian = self.beta, loss, gradient, hessian
            flat = 1e-13 * max(1e-6, float(np.trace(hessian)))
            self._whole = self._step = np.linalg.solve(hessian + flat * np.eye(len(gradient)), gradient)
        self.beta = self.at - self._step

    @property
    def done(self) -> bool:
        """There is nothing more to gain, whether the coefficients stand still or not."""
        return float(np.abs(self._step).max()) < NEAR or bool(self.growing.any())

    @property
    def growing(self) -> np.ndarray:
        """Which coefficients still move though the likelihood does not rise any more: they have no bound."""
        level = 0.5 * float(self.gradient @ self._whole) < LEVEL
        return np.asarray((np.abs(self._whole) > FAR) & level)

    @property
    def settled(self) -> bool:
        """A whole step from here leads nowhere."""
        return float(np.abs(self._whole).max()) < 1e-6


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
