"""Target encoding: a column of many values as one number, the mean answer of a value's rows, agreed by the silos.

Flags of c values make sums of c² numbers; a column of more than WIDE values is told by this number instead.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from federated.preparation import Preparation
from federated.statistics import target_sums_of
from framework.contenders.net_rows import NetRows

WIDE = 100
DRAWN = 10.0  # rows with the mean answer of all, that are added to those of each value
FOLDS = 5


def wide(rows: NetRows) -> dict[str, int]:
    """The columns that are told so → their places in the matrix of `rows.native`."""
    names = [column.name for column, width in rows.native.widths for _ in range(width)]
    return {names[place]: place for place, card in enumerate(rows.cards) if card > WIDE}


@dataclass(frozen=True)
class Encoding:
    """sums: Σ w and Σ w y of each value, shape (2, values). centre: the mean answer of all these rows; spread: of the
    encoded rows."""

    sums: np.ndarray
    centre: float
    spread: float

    @classmethod
    def learn(cls, sums: np.ndarray) -> Self:
        weight = float(sums[0].sum())
        centre = float(sums[1].sum()) / weight if weight > 0 else 0.0
        apart = _drawn(sums, centre) - centre
        spread = float(np.sqrt((sums[0] * apart**2).sum() / weight)) if weight > 0 else 0.0
        return cls(sums, centre, spread if spread > 1e-12 * max(1.0, abs(centre)) else 1.0)

    def values(self, sums: np.ndarray | None = None) -> np.ndarray:
        """((Σ w y + m ȳ) / (Σ w + m) - ȳ) / spread with m = DRAWN, shape (values,) (Micci-Barreca 2001, equation 3,
        with n / (n + m) for λ). sums: of other rows than those it was learned from."""
        told = _drawn(self.sums if sums is None else sums, self.centre)
        return np.asarray((told - self.centre) / self.spread)

    def crossed(
        self, codes: np.ndarray, y: np.ndarray, weight: np.ndarray, told: np.ndarray, *, within: bool, seed: int
    ) -> np.ndarray:
        """Of the rows of one silo that it was learned from, each by rows of other fifths and of other silos alone, so
        that no row's number has its own answer in it; shape (rows,), 0 for a missing value.

        told: the silo's own sums. within: whether these are in `sums`. A value that has too few rows here to be told of
        counts as missing: no forged sum can point at these rows.
        """
        others = np.maximum(self.sums[0] - told[0], 0.0), self.sums[1] - told[1]
        elsewhere = np.stack(others) if within else self.sums
        fold = np.random.default_rng([seed, FOLDS]).permutation(len(codes)) % FOLDS
        encoded = np.zeros(len(codes))
        for each in range(FOLDS):
            here = fold == each
            own = target_sums_of(np.where(here, -1, codes), y, weight, len(told[0]))
            encoded[here] = looked_up(self.values(elsewhere + own), codes[here])
        return np.asarray(encoded * (looked_up(told[0], codes) > 0))


def looked_up(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The number of each row, shape (rows,); 0 where its value is missing or unknown. codes: -1 for these."""
    return np.asarray(np.where(codes >= 0, values[codes], 0.0))


def codes_of(matrix: np.ndarray, place: int) -> np.ndarray:
    """Of a column of codes with nan for missing, -1 for missing."""
    return np.asarray(np.nan_to_num(matrix[:, place], nan=-1.0), dtype=np.int64)


def split_sums(vector: np.ndarray, preparation: Preparation) -> dict[str, np.ndarray]:
    """Sums of all wide columns one after the other, as shape (2, values) of each."""
    rows = preparation.encoder
    found, begin = {}, 0
    for name, place in wide(rows).items():
        end = begin + 2 * rows.cards[place]
        found[name] = vector[begin:end].reshape(2, -1)
        begin = end
    return found


def _drawn(sums: np.ndarray, centre: float) -> np.ndarray:
    return np.asarray((sums[1] + DRAWN * centre) / (sums[0] + DRAWN))
