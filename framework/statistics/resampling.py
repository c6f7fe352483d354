"""What a resample is drawn from: rows that hang together are drawn together.

Whole series of a forecast; whole groups; blocks of neighbours where rows follow each other in time, of whole moments
where several rows have the same; else single rows, within each class where the answer is a class, so that none is
missing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from framework.data.frame import Truth
from framework.metric import SILHOUETTE_ROWS, Metric

CELLS = 1_000_000  # resamples × rows that are held at a time
BLOCK = 2.0  # a block of neighbours is this many times the cube root of the rows long (Künsch 1989 has the rate)


@dataclass(frozen=True)
class Resampling:
    """How rows are drawn. rows: how many there are.

    unit: each row's series, group or moment, shape (rows,): whole ones are drawn. stratum: each row's class, shape
    (rows,): rows are drawn within it, where there are no units. block: so many neighbours, rows or units, are drawn at
    a time.
    """

    rows: int
    unit: np.ndarray | None = None
    stratum: np.ndarray | None = None
    block: int = 1

    @classmethod
    def of(cls, metric: Metric, truth: Truth) -> "Resampling":
        """As these rows ask."""
        if metric.name == "silhouette":
            return cls(min(len(truth), SILHOUETTE_ROWS))
        for codes in (truth.series, truth.group):
            if codes is not None and len(units := np.unique(codes, return_inverse=True)[1]) and units.max() > 0:
                return cls(len(truth), unit=units)
        if truth.ordered or truth.series is not None:
            moments = None if truth.moment is None else np.unique(truth.moment, return_inverse=True)[1]
            if moments is not None and len(moments) and 0 < moments.max() < len(truth) - 1:
                return cls(len(truth), unit=moments, block=_block(int(moments.max()) + 1))
            return cls(len(truth), block=_block(len(truth)))
        if truth.classes and truth.y is not None:
            return cls(len(truth), stratum=truth.y)
        return cls(len(truth))

    @property
    def alone(self) -> bool:
        """Whether every row is drawn by itself: then formulas for independent rows hold."""
        return self.unit is None and self.block == 1

    def draws(self, random: np.random.Generator, repeats: int) -> Iterator[np.ndarray]:
        """How often each row is in each resample, float64, shape (some resamples, rows), until there are `repeats`."""
        step = max(1, CELLS // max(1, self.rows))
        for begin in range(0, repeats, step):
            yield self._draw(random, min(step, repeats - begin))

    def part(self, random: np.random.Generator, most: int) -> np.ndarray:
        """About so many rows in their order, none twice: whole units, blocks, or each class's share and at least one.

        shape (rows of the part,).
        """
        share = most / self.rows
        if not self.alone:
            blocks = (np.arange(self.rows) if self.unit is None else self.unit) // self.block
            count = int(blocks.max()) + 1
            return np.flatnonzero(np.isin(blocks, random.permutation(count)[: max(2, round(share * count))]))
        strata = np.zeros(self.rows, dtype=np.int64) if self.stratum is None else self.stratum
        rank = random.permutation(self.rows)
        order = rank[np.argsort(strata[rank], kind="stable")]
        held = np.bincount(strata)
        place = np.arange(self.rows) - (np.cumsum(held) - held)[strata[order]]
        quota = np.maximum(1, np.rint(share * held))
        return np.sort(order[place < quota[strata[order]]])

    def _draw(self, random: np.random.Generator, repeats: int) -> np.ndarray:
        if self.unit is not None:
            return self._units(random, repeats, int(self.unit.max()) + 1)[:, self.unit]
        if self.block > 1:
            return self._units(random, repeats, self.rows)
        if self.stratum is None:
            return _uniform(random, repeats, self.rows)
        counts = np.empty((repeats, self.rows))
        for code in np.unique(self.stratum):
            members = np.flatnonzero(self.stratum == code)
            counts[:, members] = _uniform(random, repeats, len(members))
        return counts

    def _units(self, random: np.random.Generator, repeats: int, units: int) -> np.ndarray:
        """How often each of so many units is drawn, shape (repeats, units).

        Moving blocks around a circle, so that the first and last ones come as often as the others (Politis and Romano
        1992).
        """
        if self.block == 1:
            return _uniform(random, repeats, units)
        wanted = -(-units // self.block)
        starts = random.integers(0, units, (repeats, wanted))
        lengths = np.full(wanted, self.block)
        lengths[-1] = units - self.block * (wanted - 1)
        change = np.zeros((repeats, 2 * units + 1))
        line = np.arange(repeats)[:, None]
        np.add.at(change, (line, starts), 1.0)
        np.add.at(change, (line, starts + lengths), -1.0)
        counts = np.cumsum(change, axis=1)
        return np.asarray(counts[:, :units] + counts[:, units : 2 * units])


def _block(units: int) -> int:
    """How many neighbours are drawn at a time, of so many."""
    return max(1, min(units // 2, round(BLOCK * math.cbrt(units))))


def _uniform(random: np.random.Generator, repeats: int, units: int) -> np.ndarray:
    """How often each of `units` is drawn, of as many draws, shape (repeats, units)."""
    drawn = random.integers(0, units, (repeats, units)) + units * np.arange(repeats)[:, None]
    return np.bincount(drawn.ravel(), minlength=repeats * units).reshape(repeats, units).astype(np.float64)
