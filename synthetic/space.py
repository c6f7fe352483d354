"""A table in the three shapes that its judges need: coarse codes, numbers for trees, and points with distances."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from synthetic.codec import Categories, Numbers
from synthetic.table import TableCodec

COARSE = 10  # bins of a number, of equal shares
MOST_LEVELS = 30  # categories with a dimension of their own


@dataclass(frozen=True)
class Space:
    """Learned from real rows, and the same for all that are compared."""

    table: TableCodec
    places: np.ndarray

    @classmethod
    def learn(cls, real: pd.DataFrame) -> "Space":
        table = TableCodec.learn(real)
        return cls(table, table.encode(real))

    @cached_property
    def _edges(self) -> list[np.ndarray]:
        """For each column the places where its coarse bins begin; none for categories."""
        edges = []
        for at, codec in enumerate(self.table.codecs):
            there = self.places[:, at][self.places[:, at] < codec.card - codec.missing]
            ranked = codec.ranked and codec.card > COARSE and len(there)
            edges.append(np.unique(np.quantile(there, np.linspace(0, 1, COARSE + 1)[1:-1])) if ranked else np.empty(0))
        return edges

    def coarse(self, frame: pd.DataFrame) -> list[np.ndarray]:
        """For each column codes from 0, int64, shape (rows,): a category, a tenth of a number, or missing (last)."""
        places, told = self.table.encode(frame), []
        for at, codec in enumerate(self.table.codecs):
            column, edges = places[:, at], self._edges[at]
            if not len(edges):
                told.append(column.astype(np.int64))
                continue
            missing = column >= codec.card - codec.missing
            told.append(np.where(missing, len(edges) + 1, np.searchsorted(edges, column, side="right")))
        return told

    def numbers(self, frame: pd.DataFrame) -> np.ndarray:
        """float64, shape (rows, columns): numbers as they are, categories by how common they are, missing nan."""
        told = []
        for at, codec in enumerate(self.table.codecs):
            if isinstance(codec, Numbers):
                told.append(codec.numbers(frame[codec.name]))
                continue
            counts = np.bincount(self.places[:, at].astype(np.int64), minlength=codec.card)
            rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable").astype(np.float64)
            tokens = codec.encode(frame[codec.name]).astype(np.int64)
            told.append(np.where(codec.known(frame[codec.name]), rank[tokens], np.nan))
        return np.stack(told, axis=1)

    def points(self, frame: pd.DataFrame) -> np.ndarray:
        """float64, shape (rows, dimensions): a number as its rank among the real ones, from 0 to 1; a category as a
        corner of its own; another column's missing value a dimension of its own. Distances are Euclidean."""
        places, told = self.table.encode(frame), []
        for at, codec in enumerate(self.table.codecs):
            missing = places[:, at] >= codec.card - codec.missing
            if isinstance(codec, Categories):
                levels = np.bincount(self.places[:, at].astype(np.int64), minlength=codec.card)
                kept = np.argsort(-levels, kind="stable")[:MOST_LEVELS]
                told += [(places[:, at].astype(np.int64) == token) / np.sqrt(2) for token in kept]
                continue
            line = np.sort(self.places[:, at])
            low, high = np.searchsorted(line, places[:, at], "left"), np.searchsorted(line, places[:, at], "right")
            told.append(np.where(missing, 0.5, (low + high) / (2 * len(line))))
            if codec.missing:
                told.append(missing / np.sqrt(2))
        return np.stack(told, axis=1).astype(np.float64)
