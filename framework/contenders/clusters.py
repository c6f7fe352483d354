"""Rows that are alike, put together: k-means and HDBSCAN in the space in which clusters are judged."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.linear import sample
from framework.data.frame import Fold
from framework.data.space import Space
from framework.problem import Kind

SPACE = "space.npz"
CENTRES = "clusters.npz"
TRIAL_ROWS = 2_000  # that the number of clusters is chosen on
MOST_CLUSTERS = 10
HDBSCAN_ROWS = 10_000
KINDS: frozenset[Kind] = frozenset({"clustering"})


@dataclass(frozen=True)
class KMeans:
    """Rows by the nearest of k centres. clusters: k; None: of 2 to 10, the one with the best silhouette."""

    clusters: int | None = None
    name: str = "kmeans"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = KINDS
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "NearestModel":
        from sklearn.cluster import KMeans as Engine
        from sklearn.metrics import silhouette_score

        space = Space.learn(fold.train.X, fold.schema)
        points = space.place(fold.train.X)
        tried = sample(len(points), TRIAL_ROWS, seed=context.seed)
        trial = points if tried is None else points[tried]
        best, found = -math.inf, self.clusters or min(2, len(points))
        for k in range(2, min(MOST_CLUSTERS, len(trial) - 1) + 1) if self.clusters is None else ():
            labels = Engine(k, n_init=5, random_state=context.seed).fit_predict(trial)
            score = silhouette_score(trial, labels) if len(np.unique(labels)) > 1 else -1.0
            context.report(k, silhouette=float(score))
            if score > best + 1e-6:
                best, found = float(score), k
            if context.remaining() < 2.0:
                break
        engine = Engine(found, n_init=10, random_state=context.seed).fit(points, sample_weight=fold.train.weight)
        return NearestModel(space, engine.cluster_centers_, np.arange(found))

    def settled(self, model: Model) -> "KMeans":
        return replace(self, clusters=len(model.points)) if isinstance(model, NearestModel) else self


@dataclass(frozen=True)
class HDBSCAN:
    """Rows that lie densely together; the rest is noise, -1. A new row joins its nearest training row.

    least: rows that make a cluster; None: of some, the one with the best silhouette, noise counted against it.
    """

    least: int | None = None
    name: str = "hdbscan"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = KINDS
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "NearestModel":
        from sklearn import cluster
        from sklearn.metrics import silhouette_score

        space = Space.learn(fold.train.X, fold.schema)
        points = space.place(fold.train.X)
        kept = sample(len(points), HDBSCAN_ROWS, seed=context.seed)
        points = points if kept is None else points[kept]
        sizes = sorted({max(2, min(len(points), round(len(points) * share))) for share in (0.01, 0.03, 0.08)})
        best, labels, least = -math.inf, np.zeros(len(points), dtype=np.int64), sizes[0]
        for size in sizes if self.least is None else (max(2, min(self.least, len(points))),):
            told = cluster.HDBSCAN(min_cluster_size=size, min_samples=min(5, size), copy=True).fit_predict(points)
            placed = told >= 0
            score = -1.0
            if len(np.unique(told[placed])) > 1:
                drawn = min(TRIAL_ROWS, int(placed.sum()))
                score = placed.mean() * silhouette_score(
                    points[placed], told[placed], sample_size=drawn, random_state=context.seed
                )
            context.report(size, silhouette=float(score))
            if score > best:
                best, labels, least = float(score), told.astype(np.int64), size
            if context.remaining() < 2.0:
                break
        if noise := int((labels < 0).sum()):
            context.remark(f"{noise / len(labels):.0%} of the rows are noise")
        return NearestModel(space, points, labels, least)

    def settled(self, model: Model) -> "HDBSCAN":
        return replace(self, least=model.least) if isinstance(model, NearestModel) else self


@dataclass(frozen=True)
class NearestModel:
    """A row gets the label of the nearest point. points: shape (points, dimensions); labels: shape (points,), int64.

    least: HDBSCAN's smallest cluster; 0 for k-means.
    """

    space: Space
    points: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    least: int = 0

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        from sklearn.metrics import pairwise_distances_argmin

        if not len(X):
            return np.empty(0, dtype=np.int64)
        return np.asarray(self.labels[pairwise_distances_argmin(self.space.place(X), self.points)])

    def save(self, folder: Path) -> None:
        self.space.save(folder / SPACE)
        np.savez(folder / CENTRES, points=self.points, labels=self.labels, least=np.array(self.least))

    @classmethod
    def load(cls, folder: Path) -> Self:
        with np.load(folder / CENTRES, allow_pickle=False) as parts:
            return cls(Space.load(folder / SPACE), parts["points"], parts["labels"], int(parts["least"]))
