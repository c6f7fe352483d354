"""Which part a row belongs to, told from its place alone: every process agrees without being told."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.data.values import text_of

TRAIN, VALID, TEST = 0, 1, 2


@dataclass(frozen=True)
class Cut:
    """A split by a hash of the row's key: its position in the files, or its group where the problem has one.

    test: the share of all rows; valid: the share of the others; both as they are met on average.
    """

    seed: int
    test: float
    valid: float

    def parts(self, keys: np.ndarray) -> np.ndarray:
        """TRAIN, VALID or TEST of each row, int8, shape (rows,). keys: uint64, shape (rows,)."""
        chance = self.chances(keys)
        chosen = self.test + self.valid * (1 - self.test)
        return np.where(chance < self.test, TEST, np.where(chance < chosen, VALID, TRAIN)).astype(np.int8)

    def chances(self, keys: np.ndarray, draw: int = 0) -> np.ndarray:
        """A number of [0, 1) for each key, shape (rows,); the draws of one key are independent of each other."""
        salt = splitmix64(np.array([self.seed * 1_000 + draw], dtype=np.int64).view(np.uint64))
        return splitmix64(keys ^ salt) / np.float64(2**64)


def splitmix64(keys: np.ndarray) -> np.ndarray:
    """Steele, Lea, Flood 2014: 64 bits that look random from 64 that do not; uint64 → uint64, one to one."""
    mixed = keys + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def positions(first: int, rows: int) -> np.ndarray:
    """The keys of rows that follow each other, uint64, shape (rows,)."""
    return np.arange(first, first + rows, dtype=np.uint64)


def group_keys(column: pd.Series) -> np.ndarray:
    """A key for each row's group, uint64, shape (rows,): of its text, the same in any block; missing is one group."""
    codes, uniques = pd.factorize(plain(column), use_na_sentinel=False)
    texts = np.array(["" if (text := text_of(value)) is None else text for value in uniques], dtype=object)
    return np.asarray(pd.util.hash_array(texts, categorize=False)[codes])
