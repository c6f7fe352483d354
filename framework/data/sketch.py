"""Which rows a model has seen, remembered in a bounded space: the smallest of their hashes.

A bottom-k sketch (Cohen & Kaplan 2007, "Summarizing data using bottom-k sketches"): of tables up to 65,536 rows it
holds every row's hash, of larger ones those of an even share, by which any other rows are told seen or not. It holds
hashes, not values; who can guess a whole row can find out whether it was in the table.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

SIZE = 65_536  # hashes kept, 8 bytes each
TELLING = 5  # fresh rows within the sketch's reach, below which nothing is said


@dataclass(frozen=True)
class RowSketch:
    """Rows that were seen. kept: their smallest distinct hashes, sorted, uint64, shape (at most SIZE,).

    rows: how many were seen. repeated: the share of them that another row equals: so many fresh rows may look seen by
    chance.
    """

    rows: int
    kept: np.ndarray
    repeated: float

    @classmethod
    def of(cls, hashes: np.ndarray) -> Self:
        """Of the rows with these hashes (`row_hashes`), shape (rows,)."""
        distinct = np.unique(hashes)
        repeated = 1 - len(distinct) / len(hashes) if len(hashes) else 0.0
        return cls(len(hashes), distinct[:SIZE], float(repeated))

    def seen(self, hashes: np.ndarray) -> float:
        """The share of these rows that were seen, of those within the sketch's reach; nan where they are too few."""
        whole = len(self.kept) < SIZE
        within = hashes if whole else hashes[hashes <= self.kept[-1]]
        if len(within) < (1 if whole else TELLING):
            return float("nan")
        return float(np.isin(within, self.kept).mean())

    def save(self, path: Path) -> None:
        """Writes one .npz file."""
        np.savez_compressed(path, rows=np.int64(self.rows), kept=self.kept, repeated=np.float64(self.repeated))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as held:
            return cls(int(held["rows"]), held["kept"], float(held["repeated"]))


def row_hashes(X: pd.DataFrame, y: np.ndarray | None) -> np.ndarray:
    """A hash of each row's features and answer, uint64, shape (rows,): the same in every process.

    X: conformed to a schema; y: codes or values, shape (rows,), or None.
    """
    features = pd.util.hash_pandas_object(X, index=False).to_numpy(dtype=np.uint64)
    if y is None:
        return features
    answers: np.ndarray = pd.util.hash_array(np.asarray(y, dtype=np.float64))
    return np.asarray(features * np.uint64(31) + answers)


def digest(hashes: np.ndarray) -> str:
    """One text for the rows with these hashes, in whatever order and however split: SHA-256, hex."""
    return hashlib.sha256(np.sort(hashes).tobytes()).hexdigest()
