"""Clusters merged from the bottom up, always the two whose union spreads least (Ward 1963)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.clusters import KINDS, MOST_CLUSTERS, TRIAL_ROWS, NearestModel
from framework.contenders.linear import sample
from framework.data.frame import Fold
from framework.data.space import Space
from framework.problem import Kind

MOST_ROWS = 5_000  # every row meets every other


@dataclass(frozen=True)
class Agglomerative:
    """The tree of merged clusters, cut where `clusters` are left; a row joins the cluster whose mean is nearest, which
    tells rows never seen better than their nearest training row does.

    clusters: None: of 2 to 10, the cut with the best silhouette; one tree serves all cuts.
    """

    clusters: int | None = None
    name: str = "agglomerative"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = KINDS
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> NearestModel:
        space = Space.learn(fold.train.X, fold.schema)
        points = space.place(fold.train.X)
        kept = sample(len(points), MOST_ROWS, seed=context.seed)
        points = points if kept is None else points[kept]
        most = min(MOST_CLUSTERS, len(points) - 1)
        counts = range(2, most + 1) if self.clusters is None else (min(self.clusters, len(points)),)
        cuts = merged(points, counts or (1,))
        labels = cuts[:, self._best(points, cuts, context)] if cuts.shape[1] > 1 else cuts[:, 0]
        means = [points[labels == each].mean(axis=0) for each in range(int(labels.max()) + 1)]
        return NearestModel(space, np.stack(means), np.arange(len(means)))

    def settled(self, model: Model) -> "Agglomerative":
        return replace(self, clusters=len(model.points)) if isinstance(model, NearestModel) else self

    def _best(self, points: np.ndarray, cuts: np.ndarray, context: Context) -> int:
        """The cut with the best silhouette."""
        from sklearn.metrics import silhouette_score

        best, found = -math.inf, 0
        for place, labels in enumerate(cuts.T):
            score = silhouette_score(
                points, labels, sample_size=min(TRIAL_ROWS, len(points)), random_state=context.seed
            )
            context.report(int(labels.max()) + 1, silhouette=float(score))
            if score > best + 1e-6:
                best, found = float(score), place
            if context.remaining() < 2.0:
                break
        return found


def merged(points: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Each point's cluster, from 0, when so many are left, shape (points, counts), int64."""
    from scipy.cluster.hierarchy import cut_tree, ward

    if len(points) < 2:
        return np.zeros((len(points), len(counts)), dtype=np.int64)
    return np.asarray(cut_tree(ward(points.astype(np.float64)), n_clusters=list(counts)), dtype=np.int64)
