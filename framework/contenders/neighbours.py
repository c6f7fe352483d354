"""Nearest neighbours, each counted by its nearness and its weight."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.linear import sample
from framework.contenders.preprocess import IMPORTS, dense
from framework.contenders.probabilities import loss
from framework.contenders.sklearn_file import load_sklearn, save_sklearn
from framework.data.frame import Fold
from framework.problem import Kind
from framework.search_space import Settings, Space, Whole

PARTS = "columns.skops"
ROWS = "rows.npz"
COUNTS = (3, 5, 8, 12, 20, 30, 50, 80)  # neighbours to try
PROBES = 1_000  # training rows that the count is chosen on, each without itself
BLOCK = 2_000  # rows answered at once


@dataclass(frozen=True)
class Neighbours:
    """The mean answer of the nearest training rows in the standardised space.

    neighbours: how many; None: chosen by the error on training rows left out of their own neighbourhood.
    rows: training rows kept at most.
    """

    neighbours: int | None = None
    rows: int = 50_000
    name: str = "neighbours"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("sklearn.neighbors", *IMPORTS)
    pooled: ClassVar[bool] = True
    space: ClassVar[Space] = {"neighbours": Whole(1, 100, log=True)}
    # scikit-learn's default, the folk rule's square root of some hundred rows, and a smooth one.
    portfolio: ClassVar[tuple[Settings, ...]] = ({"neighbours": 5}, {"neighbours": 15}, {"neighbours": 50})

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "NeighboursModel":
        kept = sample(len(fold.train), self.rows, seed=context.seed)
        train = fold.train if kept is None else fold.train.take(kept)
        classes = len(fold.classes)
        answer = "continuous" if not classes else "binary" if classes == 2 else "multiclass"
        columns = dense(fold.schema, answer=answer, seed=context.seed)
        points = columns.fit_transform(train.X, train.y).astype(np.float32)
        y = np.asarray(train.y, dtype=np.float64)
        weight = np.ones(len(y)) if train.weight is None else train.weight
        if self.neighbours is not None:
            return NeighboursModel(columns, points, y, weight, classes, max(1, min(self.neighbours, len(y))))
        model = NeighboursModel(columns, points, y, weight, classes, 1)
        rows = sample(len(y), PROBES, seed=context.seed)
        probes = np.arange(len(y)) if rows is None else rows
        began = time.time()
        near, distance = model.nearest(points[probes[:100]], min(max(COUNTS) + 1, len(y)))
        if context.remaining() < 2 * (time.time() - began) * len(probes) / 100 + 1:
            return replace(model, neighbours=min(20, len(y)))
        near, distance = model.nearest(points[probes], min(max(COUNTS) + 1, len(y)))
        others = near != probes[:, None]
        errors = {}
        for count in [c for c in COUNTS if c < near.shape[1]] or [1]:
            told = model.mean(near, np.where(others, distance, np.inf), count + 1)
            if classes:
                errors[count] = loss(told, train.y[probes], weight[probes])
            else:
                errors[count] = float(np.average((told - y[probes]) ** 2, weights=weight[probes]))
        return replace(model, neighbours=min(errors, key=errors.__getitem__))

    def settled(self, model: Model) -> "Neighbours":
        return replace(self, neighbours=model.neighbours) if isinstance(model, NeighboursModel) else self


@dataclass(frozen=True)
class NeighboursModel:
    """The training rows themselves. points: shape (rows, dimensions); classes: 0 for values."""

    columns: Any
    points: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    weight: np.ndarray = field(repr=False)
    classes: int
    neighbours: int

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        if not len(X):
            return np.empty((0, self.classes)) if self.classes else np.empty(0)
        points = self.columns.transform(X).astype(np.float32)
        blocks = (points[start : start + BLOCK] for start in range(0, len(points), BLOCK))
        return np.concatenate([self.mean(*self.nearest(block, self.neighbours), self.neighbours) for block in blocks])

    def nearest(self, points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Places and distances of the nearest training rows, each shape (rows, count), nearest first."""
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(self.points)
        distance, near = search.kneighbors(points)
        return near, distance.astype(np.float64)

    def mean(self, near: np.ndarray, distance: np.ndarray, count: int) -> np.ndarray:
        """The answers of the first `count` neighbours, counted by weight and nearness; an infinite distance is out."""
        near, distance = near[:, :count], distance[:, :count]
        usual = np.median(np.where(np.isfinite(distance), distance, 0.0), axis=1, keepdims=True)
        share = self.weight[near] / (distance + 0.1 * usual + 1e-6)
        if not self.classes:
            return np.asarray((share * self.y[near]).sum(axis=1) / share.sum(axis=1))
        votes = np.stack([(share * (self.y[near] == code)).sum(axis=1) for code in range(self.classes)], axis=1)
        votes += share.mean(axis=1, keepdims=True) * self._shares  # one vote by the class shares: nothing is impossible
        return np.asarray(votes / votes.sum(axis=1, keepdims=True))

    @property
    def _shares(self) -> np.ndarray:
        counts = np.bincount(self.y.astype(np.int64), weights=self.weight, minlength=self.classes)
        return np.asarray(counts / counts.sum())

    def save(self, folder: Path) -> None:
        save_sklearn(self.columns, folder / PARTS)
        counts = np.array([self.classes, self.neighbours])
        np.savez(folder / ROWS, points=self.points, y=self.y, weight=self.weight, counts=counts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        with np.load(folder / ROWS, allow_pickle=False) as rows:
            classes, neighbours = rows["counts"].tolist()
            return cls(load_sklearn(folder / PARTS), rows["points"], rows["y"], rows["weight"], classes, neighbours)
