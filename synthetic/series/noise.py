"""What is left of series when level, trend and season are gone: a vector autoregression on normal scores.

A Gaussian copula over time: Biller and Nelson 2003, "Modeling and generating multivariate time-series input processes
using a vector autoregressive technique" (https://doi.org/10.1145/937332.937333).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

FADING = (1.0, 0.999, 0.997, 0.99, 0.98, 0.95, 0.9, 0.7, 0.0)  # a lag, tried until the process is stationary
RIDGE = 1e-3
MOST_STEADY = 0.9995  # largest modulus of the process's roots


@dataclass(frozen=True)
class Noise:
    """zₜ = Σₕ Aₕ zₜ₋ₕ + L eₜ, every column of z standard normal.

    pull: the Aₕ side by side, shape (columns, lags · columns), the nearest lag first. root: L, shape (columns,
    columns). begin: a root of the covariance of the first `lags` steps, shape (lags · columns, lags · columns).
    """

    pull: np.ndarray
    root: np.ndarray
    begin: np.ndarray

    @classmethod
    def solve(cls, covariance: np.ndarray) -> Self:
        """The process of these autocovariances (Yule and Walker), E[zₜ zₜ₋ₕᵀ], shape (lags + 1, columns, columns).

        Those of no stationary process are faded with the lag until they are of one.
        """
        lags, columns = len(covariance) - 1, covariance.shape[1]
        for fade in FADING:
            faded = covariance * (fade ** np.arange(lags + 1))[:, None, None]
            faded[0] = (covariance[0] + covariance[0].T) / 2 + RIDGE * np.eye(columns)
            blocks = [
                [faded[j - i] if j >= i else faded[i - j].T for j in range(lags)] for i in range(lags)
            ]  # row i, column j: E[zₜ₋ᵢ zₜ₋ⱼᵀ]
            whole = np.block(blocks)
            lowest = float(np.linalg.eigvalsh(whole)[0])
            if lowest < RIDGE / 2 and fade > 0:
                continue
            across = np.concatenate(list(faded[1:]), axis=1)
            pull = np.linalg.solve(whole, across.T).T
            left = faded[0] - pull @ across.T
            left = (left + left.T) / 2
            if fade > 0 and (_steadiness(pull, columns) > MOST_STEADY or np.linalg.eigvalsh(left)[0] < 0):
                continue
            return cls(pull, _root(left), _root(whole))
        raise AssertionError("without memory every process is stationary")

    def draw(self, series: int, steps: int, random: np.random.Generator) -> np.ndarray:
        """z, float64, shape (series, steps, columns)."""
        columns = len(self.root)
        lags = self.pull.shape[1] // columns
        past = random.standard_normal((series, lags * columns)) @ self.begin.T
        made = np.empty((series, steps, columns))
        for step in range(steps):
            now = past @ self.pull.T + random.standard_normal((series, columns)) @ self.root.T
            made[:, step] = now
            past = np.concatenate([now, past[:, :-columns]], axis=1)
        return made


def autocovariance(values: np.ndarray, lags: int) -> np.ndarray:
    """Mean of xₜ xₜ₋ₕᵀ over all series and steps that have both, shape (lags + 1, columns, columns).

    values: of mean 0, shape (series, steps, columns), nan where missing.
    """
    there = ~np.isnan(values)
    filled, told = np.where(there, values, 0.0), []
    seen = there.astype(np.float64)
    for lag in range(lags + 1):
        late, early = slice(lag, None), slice(0, values.shape[1] - lag)
        sums = np.einsum("nta,ntb->ab", filled[:, late], filled[:, early])
        pairs = np.einsum("nta,ntb->ab", seen[:, late], seen[:, early])
        told.append(sums / np.maximum(pairs, 1.0))
    return np.stack(told)


def _steadiness(pull: np.ndarray, columns: int) -> float:
    """The largest modulus of the process's roots: below 1 it is stationary."""
    size = pull.shape[1]
    companion = np.zeros((size, size))
    companion[:columns] = pull
    companion[columns:, :-columns] += np.eye(size - columns)
    return float(np.abs(np.linalg.eigvals(companion)).max())


def _root(covariance: np.ndarray) -> np.ndarray:
    """A root of a covariance that may be singular by rounding."""
    levels, turns = np.linalg.eigh(covariance)
    return np.asarray(turns * np.sqrt(np.maximum(levels, 0.0)))
