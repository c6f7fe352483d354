"""One column as places on a line and back: categories, numbers, dates; a missing value is a place of its own.

A place is a float64: its whole part the token (a category, a frequent value, a bin of a number; the last one: missing),
its fraction where in the token's range the value lies.
"""

from typing import Any

import numpy as np

from synthetic.categories import Categories
from synthetic.numeric import LEVELS, MOST_DECIMALS, Numbers

__all__ = ["LEVELS", "MOST_DECIMALS", "Categories", "Codec", "Numbers", "codec_from_json", "learn_numbers"]

ATOM_SHARE = 0.01  # of the rows, from which a value of a number is a token of its own
FEW_VALUES = 100  # distinct values of a number, up to which each of them is a token
ROWS_A_VALUE = 5  # on average, for that
ROWS_A_BIN = 20
MOST_BINS = 80
ROWS_A_PIECE = 5  # of a bin's straight pieces: of values that many rows share, flat ones
MOST_LEVELS = 16
EXTREMES = 3  # values whose mean ends the line on either side: no row's own extreme is told
COARSEST = 3  # thousands

Codec = Categories | Numbers


def learn_numbers(
    name: str, dtype: str, values: np.ndarray, *, unit: int = 0, written: str = "", shown: str = ""
) -> Numbers:
    """The codec of numbers, float64, shape (rows,), nan where missing."""
    there = values[~np.isnan(values)]
    found, counts = np.unique(there, return_counts=True)
    few = len(found) <= FEW_VALUES and (ROWS_A_VALUE * len(found) <= len(there) or len(found) <= 2)
    often = np.ones(len(found), dtype=bool) if few else counts >= max(ROWS_A_VALUE, ATOM_SHARE * len(there))
    rest = there[~np.isin(there, found[often])]
    grids = np.empty((0, LEVELS + 1))
    if len(rest):
        bins = int(np.clip(len(rest) // ROWS_A_BIN, 1, MOST_BINS))
        levels = int(np.clip(len(rest) // bins // ROWS_A_PIECE, LEVELS, MOST_LEVELS))
        line = np.quantile(rest, np.linspace(0, 1, levels * bins + 1))
        ends = np.sort(rest)
        line[0], line[-1] = ends[:EXTREMES].mean(), ends[-EXTREMES:].mean()
        line = np.maximum.accumulate(np.clip(line, line[0], line[-1]))
        grids = np.stack([line[levels * each : levels * each + levels + 1] for each in range(bins)])
        grids = grids[(grids[:, -1] > grids[:, 0]) | (np.arange(bins) == 0)]
    missing = len(there) < len(values)
    return Numbers(name, dtype, found[often], grids, _decimals(found), missing, unit, written, shown)


def codec_from_json(told: dict[str, Any]) -> Codec:
    """The codec that `to_json` told."""
    facts = dict(told)
    if facts.pop("kind") == "categories":
        return Categories(**{**facts, "values": tuple(facts["values"]), "levels": tuple(facts["levels"])})
    grids = np.asarray(facts["grids"], dtype=np.float64) if facts["grids"] else np.empty((0, LEVELS + 1))
    return Numbers(**{**facts, "atoms": np.asarray(facts["atoms"], dtype=np.float64), "grids": grids})


def _decimals(values: np.ndarray) -> int:
    """To how many all values are rounded; MOST_DECIMALS where to none."""
    if not len(values):
        return 0
    return next(
        (d for d in range(-COARSEST, MOST_DECIMALS) if np.array_equal(np.round(values, d), values)), MOST_DECIMALS
    )
