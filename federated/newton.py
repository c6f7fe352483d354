"""Newton's method on sums: a loss that nobody can look at but where all are asked."""

import numpy as np

NEAR = 1e-10  # the longest part of the step that ends it
SLACK = 1e-12  # of a loss: what its own rounding may add to it


class Newton:
    """On a loss whose curvature is none below 0, from `beta` on. A step that does not descend is halved.

    beta: shape (width,), where to look next. at: where the loss was least; loss, gradient, hessian: there. whole: the
    whole step from there. close: how long the longest part of a step was that ended it; `done` once it has.
    """

    def __init__(self, beta: np.ndarray, close: float = NEAR, slack: float = SLACK) -> None:
        self.beta = self.at = beta
        self.close, self.slack = close, slack
        self.loss = np.inf
        self.gradient = np.zeros(len(beta))
        self.hessian = np.zeros((len(beta), len(beta)))
        self.whole = np.zeros(len(beta))
        self._step = np.full(len(beta), np.inf)

    @property
    def done(self) -> bool:
        return float(np.abs(self._step).max()) < self.close

    @property
    def best(self) -> np.ndarray:
        """After the last step, where it has ended; else where the loss was least of what was looked at."""
        return self.beta if self.done else self.at

    def go(self, loss: float, gradient: np.ndarray, hessian: np.ndarray) -> None:
        """Takes what was found at `beta`. A loss or a curvature that is no number is that of a step too far."""
        descends = loss <= self.loss + self.slack * abs(min(self.loss, 1e300))
        if not (descends and np.isfinite(hessian).all()):
            self._step = self._step / 2
        else:
            self.at, self.loss, self.gradient, self.hessian = self.beta, loss, gradient, hessian
            flat = 1e-13 * max(1e-6, float(np.trace(hessian)))
            self.whole = self._step = np.linalg.solve(hessian + flat * np.eye(len(gradient)), gradient)
        self.beta = self.at - self._step
