"""Would other rows have given the same clusters? Refits on bootstrap draws (Hennig 2007)."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from framework.contender import Contender, Context
from framework.data.frame import Fold

STABLE, DISSOLVED = 0.75, 0.5  # Hennig's bounds of a cluster's mean Jaccard similarity


@dataclass(frozen=True)
class Stability:
    """How alike the clusters of bootstrap draws are to those of all rows; 1 is the same in every draw.

    rand: the mean adjusted Rand index (Hubert & Arabie 1985), which is 0 for chance. draws: how many were done.
    low, high: the 95 % interval of that mean (Student's t over the draws); nan below two draws.
    clusters: label → the mean over draws of the highest Jaccard similarity with any of their clusters.
    """

    rand: float
    draws: int
    clusters: dict[int, float] = field(default_factory=dict)
    low: float = math.nan
    high: float = math.nan

    @property
    def jaccard(self) -> float:
        """The mean over clusters; nan where there is none."""
        return float(np.mean(list(self.clusters.values()))) if self.clusters else math.nan

    def to_json(self) -> dict[str, Any]:
        told = {"rand": self.rand, "interval": [self.low, self.high], "jaccard": self.jaccard, "draws": self.draws}
        return {**told, "clusters": self.clusters}

    def __str__(self) -> str:
        gone = [str(label) for label, alike in self.clusters.items() if alike < DISSOLVED]
        shaky = [str(label) for label, alike in self.clusters.items() if DISSOLVED <= alike < STABLE]
        told = [
            f"adjusted Rand {self.rand:.2f} ({self.low:.2f} … {self.high:.2f}), mean Jaccard {self.jaccard:.2f} over "
            f"{self.draws} bootstrap draws"
        ]
        told += [f"unstable: {', '.join(shaky)}"] if shaky else []
        told += [f"dissolves: {', '.join(gone)}"] if gone else []
        return "; ".join(told)


def stability(contender: Contender, fold: Fold, *, context: Context, draws: int = 20) -> Stability:
    """The clusters of `contender` on all training rows, held against those of refits on bootstrap draws of them.

    The first fit settles the contender, so that all draws have its number of clusters. Both label all rows, drawn or
    not; noise (-1) is no cluster, and counts as one in the Rand index. Draws end when the context's time does: at the
    deadline none is begun that would take as long as the slowest; with none done, rand is nan.
    """
    from sklearn.metrics import adjusted_rand_score

    X, rng = fold.train.X, np.random.default_rng(context.seed)
    model = contender.fit(fold, context)
    labels, settled = model.predict(X), contender.settled(model)
    rands: list[float] = []
    jaccards: dict[int, list[float]] = {int(label): [] for label in np.unique(labels[labels >= 0])}
    slowest = 0.0
    for draw in range(draws):
        left = context.remaining()
        if left < 1.5 * slowest:
            break
        rows = np.sort(rng.integers(len(X), size=len(X)))
        drawn = replace(fold, train=fold.train.take(rows))
        again = settled.fit(drawn, replace(context, seed=context.seed + draw + 1)).predict(X)
        rands.append(float(adjusted_rand_score(labels, again)))
        for label, found in jaccards.items():
            found.append(jaccard(labels == label, again))
        slowest = max(slowest, left - context.remaining()) if np.isfinite(left) else slowest
    means = {label: float(np.mean(found)) for label, found in jaccards.items() if found}
    return Stability(float(np.mean(rands)) if rands else math.nan, len(rands), means, *_interval(rands))


def _interval(rands: list[float]) -> tuple[float, float]:
    from scipy.stats import t

    if len(rands) < 2:
        return math.nan, math.nan
    half = float(t.ppf(0.975, len(rands) - 1) * np.std(rands, ddof=1) / math.sqrt(len(rands)))
    return max(-1.0, float(np.mean(rands)) - half), min(1.0, float(np.mean(rands)) + half)


def jaccard(inside: np.ndarray, labels: np.ndarray) -> float:
    """The highest |A ∩ B| / |A ∪ B| of the rows `inside`, a mask A, with any cluster B of `labels`; 0 without one."""
    placed = labels[labels >= 0]
    if not len(placed):
        return 0.0
    sizes = np.bincount(placed)
    common = np.bincount(labels[inside & (labels >= 0)], minlength=len(sizes))
    return float((common / np.maximum(inside.sum() + sizes - common, 1)).max())
