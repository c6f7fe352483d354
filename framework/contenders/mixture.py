"""Clusters as overlapping clouds: a mixture of normal distributions, their number chosen by BIC."""

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.clusters import KINDS, MOST_CLUSTERS, SPACE
from framework.contenders.linear import sample
from framework.data.frame import Fold
from framework.data.space import Space
from framework.problem import Kind

CLOUDS = "clouds.npz"
TRIAL_ROWS = 4_000  # that the number and the shape of the clouds are chosen on
MOST_ROWS = 50_000
STARTS = 5  # from drawn rows; k-means as a start cuts long clouds across
RIDGE = 1e-3  # added to variances: a column that is constant within a cloud must not make it infinitely dense
FULL_DIMENSIONS = 12  # more: each cloud's axes are the columns'
FEW_ROWS = 0.02  # the least share of the rows, and ...
LEAST_ROWS = 5  # ... the least number of rows that make a cloud


@dataclass(frozen=True)
class Mixture:
    """A row belongs to the cloud that it most likely came from (EM: Dempster et al. 1977).

    clusters: how many clouds; None: of 2 to 10, the number of the least BIC (Schwarz 1978), and with it whether a
    cloud has a shape of its own ("full") or is wide and narrow along the columns only ("diag"). shape: one of these;
    None for the choice. No choice leaves a cloud of hardly any rows.
    """

    clusters: int | None = None
    shape: str | None = None
    name: str = "mixture"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = KINDS
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "MixtureModel":
        space = Space.learn(fold.train.X, fold.schema)
        points = space.place(fold.train.X).astype(np.float64)
        kept = sample(len(points), MOST_ROWS, seed=context.seed)
        points = points if kept is None else points[kept]
        tried = sample(len(points), TRIAL_ROWS, seed=context.seed)
        trial = points if tried is None else points[tried]
        engine, slowest = self._chosen(trial, context)
        if len(trial) < len(points) and context.remaining() > 2 * slowest * len(points) / len(trial):
            engine = _engine(engine.n_components, engine.covariance_type, context.seed).fit(points)
        roots = np.asarray(engine.precisions_cholesky_)
        return MixtureModel(space, engine.weights_, engine.means_, roots, engine.covariance_type)

    def settled(self, model: Model) -> "Mixture":
        return (
            replace(self, clusters=len(model.weights), shape=model.shape) if isinstance(model, MixtureModel) else self
        )

    def _chosen(self, trial: np.ndarray, context: Context) -> tuple[Any, float]:
        """The fit of the least BIC among those without a cloud of hardly any rows, and the seconds of the slowest."""
        shapes = ("full", "diag") if trial.shape[1] <= FULL_DIMENSIONS else ("diag",)
        most = max(2, min(MOST_CLUSTERS, len(trial) // LEAST_ROWS))
        counts = range(2, most + 1) if self.clusters is None else (self.clusters,)
        best, found, slowest = math.inf, None, 0.0
        for k in counts:
            for shape in (self.shape,) if self.shape else shapes:
                began = time.time()
                if found is not None and context.remaining() < 3 * slowest + 0.5:
                    return found, slowest
                engine = _engine(min(k, len(trial)), shape, context.seed).fit(trial)
                bic = float(engine.bic(trial))
                context.report(k, bic=bic)
                least = np.bincount(engine.predict(trial), minlength=k).min()
                if found is None or (bic < best and least >= max(LEAST_ROWS, FEW_ROWS * len(trial))):
                    best, found = bic, engine
                slowest = max(slowest, time.time() - began)
        return found, slowest


@dataclass(frozen=True)
class MixtureModel:
    """weights: shape (clouds,). means: shape (clouds, dimensions). roots: the inverse covariances' Cholesky factors,
    shape (clouds, dimensions, dimensions), or where a cloud lies along the columns their diagonals, shape (clouds,
    dimensions)."""

    space: Space
    weights: np.ndarray = field(repr=False)
    means: np.ndarray = field(repr=False)
    roots: np.ndarray = field(repr=False)
    shape: str

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        if not len(X):
            return np.empty(0, dtype=np.int64)
        return np.asarray(self.log_densities(self.space.place(X)).argmax(axis=1), dtype=np.int64)

    def log_densities(self, points: np.ndarray) -> np.ndarray:
        """log(weight · density) of each cloud at each point but for a constant, shape (points, clouds)."""
        told = np.empty((len(points), len(self.weights)))
        for cloud, (weight, mean, root) in enumerate(zip(self.weights, self.means, self.roots, strict=True)):
            apart = points.astype(np.float64) - mean
            if root.ndim == 1:
                scaled, volume = apart * root, np.log(root).sum()
            else:
                scaled, volume = apart @ root, np.log(np.diag(root)).sum()
            told[:, cloud] = np.log(max(weight, 1e-300)) + volume - 0.5 * (scaled**2).sum(axis=1)
        return told

    def save(self, folder: Path) -> None:
        self.space.save(folder / SPACE)
        parts = {name: getattr(self, name) for name in ("weights", "means", "roots")}
        np.savez(folder / CLOUDS, shape=np.array(self.shape), **parts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        with np.load(folder / CLOUDS, allow_pickle=False) as parts:
            arrays = {name: parts[name] for name in ("weights", "means", "roots")}
            return cls(Space.load(folder / SPACE), shape=str(parts["shape"]), **arrays)


def _engine(count: int, shape: str, seed: int) -> Any:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(
        count, covariance_type=shape, n_init=STARTS, reg_covar=RIDGE, init_params="k-means++", random_state=seed
    )
