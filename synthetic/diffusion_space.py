"""Rows as a diffusion takes them: a number as its normal score, a category as a corner, all with their own spread."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from synthetic.synthesizer import Learned, shares

EDGE = 1e-6
LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class Axis:
    """One part's place in the vector: a score where `edges` are (of its tokens, on the line from 0 to 1), with a bit
    for `missing` behind it; else a bit for two choices, a corner each for more, nothing for one.

    share: of each token, shape (card,).
    """

    begin: int
    share: np.ndarray
    edges: np.ndarray | None = None
    missing: bool = False

    @property
    def wide(self) -> int:
        if self.edges is not None:
            return 1 + self.missing
        return 0 if len(self.share) == 1 else 1 if len(self.share) == 2 else len(self.share)

    @property
    def at(self) -> slice:
        return slice(self.begin, self.begin + self.wide)


@dataclass(frozen=True)
class Axes:
    """All parts, one after the other."""

    axes: tuple[Axis, ...]

    @property
    def width(self) -> int:
        return self.axes[-1].begin + self.axes[-1].wide

    @classmethod
    def learn(cls, rows: Learned) -> Self:
        axes: list[Axis] = []
        begin = 0
        for at, codec in enumerate(rows.codecs):
            card = int(rows.cards[at])
            share = shares(rows.tokens[:, at], card, 0.1)
            if codec is not None and codec.ranked and card - codec.missing > 2:
                there = share[: card - codec.missing]
                edges = np.append(0.0, there.cumsum() / there.sum())
                axes.append(Axis(begin, share, edges, codec.missing))
            else:
                axes.append(Axis(begin, share))
            begin += axes[-1].wide
        return cls(tuple(axes))

    def encode(self, places: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Vectors, float32, shape (rows, width); a place that stands for a whole token lies anywhere within it."""
        from scipy.special import ndtri

        made = np.zeros((len(places), self.width), dtype=np.float32)
        tokens = places.astype(np.int64)
        row = np.arange(len(places))
        for at, axis in enumerate(self.axes):
            token = tokens[:, at]
            if axis.edges is not None:
                last = len(axis.edges) - 2
                gone, token = token > last, np.minimum(token, last)
                inside = places[:, at] - tokens[:, at]
                inside = np.where((inside == 0.5) | gone, random.random(len(places)), inside)
                level = axis.edges[token] + inside * (axis.edges[token + 1] - axis.edges[token])
                made[:, axis.begin] = np.where(gone, 0.0, ndtri(np.clip(level, EDGE, 1 - EDGE)))
                if axis.missing:
                    made[:, axis.begin + 1] = 2.0 * gone - 1
            elif axis.wide == 1:
                made[:, axis.begin] = 2.0 * token - 1
            elif axis.wide:
                made[row, axis.begin + token] = 2.0
                made[:, axis.at] -= 2 * axis.share
        return made

    def decode(self, made: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Places, shape (rows, parts), of vectors."""
        from scipy.special import ndtr

        places = np.empty((len(made), len(self.axes)))
        for at, axis in enumerate(self.axes):
            if axis.edges is not None:
                level = ndtr(made[:, axis.begin].astype(np.float64))
                token = np.clip(np.searchsorted(axis.edges, level, side="right") - 1, 0, len(axis.edges) - 2)
                inside = (level - axis.edges[token]) / np.maximum(axis.edges[token + 1] - axis.edges[token], 1e-12)
                places[:, at] = token + np.clip(inside, 0, 1 - 1e-9)
                if axis.missing:
                    places[:, at] = np.where(made[:, axis.begin + 1] > 0, len(axis.edges) - 0.5, places[:, at])
                continue
            if axis.wide > 1:
                chosen = (made[:, axis.at] + 2 * axis.share).argmax(axis=1)
            else:
                chosen = made[:, axis.begin] > 0 if axis.wide else np.zeros(len(made), dtype=np.int64)
            places[:, at] = chosen + random.random(len(made)) * (1 - 1e-9)
        return places

    def spread(self, made: np.ndarray) -> np.ndarray:
        """Each dimension's standard deviation, float32, shape (width,)."""
        return np.asarray(np.maximum(made.std(axis=0), LEAST_SPREAD), dtype=np.float32)

    def groups(self) -> np.ndarray:
        """The part that each dimension is of, int64, shape (width,)."""
        return np.repeat(np.arange(len(self.axes)), [axis.wide for axis in self.axes])

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"begin": axis.begin, "share": axis.share.tolist(), "missing": axis.missing,
             "edges": None if axis.edges is None else axis.edges.tolist()}
            for axis in self.axes
        ]  # fmt: skip

    @classmethod
    def from_json(cls, told: list[dict[str, Any]]) -> Self:
        return cls(tuple(
            Axis(each["begin"], np.asarray(each["share"]),
                 None if each["edges"] is None else np.asarray(each["edges"]), each["missing"])
            for each in told
        ))  # fmt: skip
