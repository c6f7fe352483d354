"""Our own Gaussian copula: each column by its own shares, all together by one matrix of correlations. Fit in seconds.

Every token is an interval of the normal line as wide as its share; a value is a point in its token's interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted, fit_by
from synthetic.synthesizer import Allowed, Learned, seeded, shares

FILE = "copula.safetensors"
SWEEPS = 12  # of Gibbs sampling, over the columns that conditions bind
EDGE = 1e-12


@dataclass(frozen=True)
class Copula:
    """shrinkage: of the correlations towards none, in rows: how many rows of independent columns are added."""

    shrinkage: float = 10.0
    name: str = "copula"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources()

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> Fitted:
        """As `Synthesizer.fit`."""
        return fit_by(
            self, frame, constraints, context, lambda rows, given: learn_copula(rows, given.seed, self.shrinkage)
        )


class CopulaCore:
    """edges: where each part's tokens end on the line from 0 to 1, beginning with 0. correlation: shape (parts, parts).

    order: each part's tokens in the order in which they lie on the line.
    """

    exact: ClassVar[bool] = True

    def __init__(self, edges: list[np.ndarray], order: list[np.ndarray], correlation: np.ndarray) -> None:
        self.edges, self.order, self.correlation = edges, order, correlation
        self.rank = [np.argsort(each) for each in order]

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        parts = len(self.edges)
        return self.fill(np.zeros((rows, parts)), np.zeros((rows, parts), dtype=bool), allowed, seed)

    def fill(self, places: np.ndarray, known: np.ndarray, allowed: Allowed, seed: int) -> np.ndarray:
        """As `Filling.fill`: by Gibbs sampling where parts are known or bound, at once where none is."""
        random = seeded(seed)
        rows, parts = places.shape
        if not known.any() and not allowed:
            root = np.linalg.cholesky(self.correlation)
            return self._places(random.standard_normal((rows, parts)) @ root.T)
        held = [at for at in range(parts) if at in allowed or known[:, at].any()]
        masks = {at: self._mask(at, places, known, allowed) for at in held}
        normal = np.zeros((rows, parts))
        for at in held:
            normal[:, at] = self._within(np.zeros(rows), 1.0, at, masks[at], random)
        for _ in range(SWEEPS if len(held) > 1 else 0):
            for at in held:
                others = [other for other in held if other != at]
                mean, spread = self._given(normal, [at], others)
                normal[:, at] = self._within(mean[:, 0], float(spread[0, 0]), at, masks[at], random)
        free = [at for at in range(parts) if at not in held]
        if free:
            mean, root = self._given(normal, free, held)
            normal[:, free] = mean + random.standard_normal((rows, len(free))) @ root.T
        return np.where(known, places, self._places(normal))

    def log_likelihood(self, places: np.ndarray) -> np.ndarray:
        """As `Filling.log_likelihood`, by the normal density at the middle of each token's interval."""
        from scipy.special import ndtri

        normal = np.empty(places.shape)
        told = np.zeros(len(places))
        for at in range(places.shape[1]):
            slot = self.rank[at][places[:, at].astype(np.int64)]
            low, high = self.edges[at][slot], self.edges[at][slot + 1]
            normal[:, at] = ndtri(np.clip((low + high) / 2, EDGE, 1 - EDGE))
            told += np.log(high - low)
        inverse = np.linalg.inv(self.correlation)
        bent = np.einsum("ri,ij,rj->r", normal, inverse - np.eye(len(inverse)), normal)
        return np.asarray(told - 0.5 * (bent + np.linalg.slogdet(self.correlation)[1]))

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {"correlation": self.correlation}
        for at, (edges, order) in enumerate(zip(self.edges, self.order, strict=True)):
            arrays |= {f"edges_{at}": edges, f"order_{at}": order}
        save_file(arrays, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.numpy import load_file

        arrays = load_file(folder / FILE)
        parts = len(arrays["correlation"])
        edges, order = ([arrays[f"{what}_{at}"] for at in range(parts)] for what in ("edges", "order"))
        return cls(edges, order, arrays["correlation"])

    def _mask(self, at: int, places: np.ndarray, known: np.ndarray, allowed: Allowed) -> np.ndarray:
        """Which tokens a part may have, in the order of the line, shape (1 or rows, card)."""
        card = len(self.order[at])
        bound = allowed.get(at, np.ones((1, card), dtype=bool))
        if known[:, at].any():
            mine = np.arange(card)[None] == places[:, at].astype(np.int64)[:, None]
            bound = np.where(known[:, at : at + 1], mine, bound)
        return bound[:, self.order[at]]

    def _given(self, normal: np.ndarray, some: list[int], others: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Mean, shape (rows, some), and root of the covariance of some parts given others."""
        own = self.correlation[np.ix_(some, some)]
        if not others:
            return np.zeros((len(normal), len(some))), np.linalg.cholesky(own)
        cross = self.correlation[np.ix_(some, others)]
        pull = np.linalg.solve(self.correlation[np.ix_(others, others)], cross.T).T
        return normal[:, others] @ pull.T, np.linalg.cholesky(own - pull @ cross.T + 1e-9 * np.eye(len(some)))

    def _within(
        self, mean: np.ndarray, spread: float, at: int, mask: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """Normal draws of this mean and spread that lie in the intervals of the mask's tokens, shape (rows,)."""
        from scipy.special import ndtr, ndtri

        line = ndtri(np.clip(self.edges[at], EDGE, 1 - EDGE))
        below = ndtr((line[None] - mean[:, None]) / spread)
        width = np.where(mask, np.diff(below, axis=1), 0.0)
        width = np.where(width.sum(axis=1, keepdims=True) > EDGE, width, mask * EDGE)
        sums = width.cumsum(axis=1)
        asked = random.random(len(mean)) * sums[:, -1]
        slot = np.minimum((asked[:, None] >= sums).sum(axis=1), width.shape[1] - 1)
        row = np.arange(len(mean))
        left = np.where(slot > 0, sums[row, np.maximum(slot - 1, 0)], 0.0)
        share = np.clip((asked - left) / np.maximum(width[row, slot], EDGE), 0, 1)
        drawn = mean + spread * ndtri(np.clip(below[row, slot] + share * width[row, slot], EDGE, 1 - EDGE))
        return np.asarray(np.clip(drawn, line[slot] + EDGE, line[slot + 1] - EDGE))

    def _places(self, normal: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        places = np.empty(normal.shape)
        for at, edges in enumerate(self.edges):
            level = ndtr(normal[:, at])
            slot = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, len(edges) - 2)
            inside = (level - edges[slot]) / np.maximum(edges[slot + 1] - edges[slot], EDGE)
            places[:, at] = self.order[at][slot] + np.clip(inside, 0, 1 - 1e-9)
        return places


def learn_copula(rows: Learned, seed: int, shrinkage: float) -> CopulaCore:
    """Shares and correlations of rows; categories lie on the line so that neighbours are alike."""
    from scipy.special import ndtri

    random = seeded(seed)
    tokens, inside = rows.tokens, rows.places - rows.tokens
    edges, order = [], []
    normal = np.empty(rows.places.shape)
    guide = _guide(rows)
    for at, card in enumerate(rows.cards):
        codec = rows.codecs[at]
        found = np.arange(card) if codec is not None and codec.ranked else _by_mean(tokens[:, at], guide, int(card))
        told = np.concatenate([[0.0], shares(tokens[:, at], int(card))[found].cumsum()])
        told[-1] = 1.0
        slot = np.argsort(found)[tokens[:, at]]
        spot = inside[:, at] if codec is not None and codec.ranked else random.random(len(rows))
        spot = np.where(
            inside[:, at] == 0.5, random.random(len(rows)), spot
        )  # a token of one value is a whole interval
        normal[:, at] = ndtri(np.clip(told[slot] + spot * (told[slot + 1] - told[slot]), 1e-6, 1 - 1e-6))
        edges.append(told)
        order.append(found.astype(np.int64))
    moments = normal.T @ normal + shrinkage * np.eye(len(edges))
    scale = np.sqrt(np.diag(moments))
    return CopulaCore(edges, order, moments / np.outer(scale, scale))


def _guide(rows: Learned) -> np.ndarray:
    """A number for each row along which the table varies most: the first component of its numbers' ranks."""
    columns = [
        pd.Series(rows.places[:, at]).rank(pct=True).to_numpy()
        for at, codec in enumerate(rows.codecs)
        if codec is not None and codec.ranked and rows.cards[at] > 1
    ]
    if not columns:
        return np.arange(len(rows)) * 0.0
    scores = np.stack(columns, axis=1)
    scores -= scores.mean(axis=0)
    return np.asarray(scores @ np.linalg.svd(scores.T @ scores)[0][:, 0])


def _by_mean(tokens: np.ndarray, guide: np.ndarray, card: int) -> np.ndarray:
    """Tokens in the order of their rows' mean along the guide."""
    counts = np.maximum(np.bincount(tokens, minlength=card), 1)
    return np.argsort(np.bincount(tokens, weights=guide, minlength=card) / counts, kind="stable")
