"""Singling out: "exactly one person is 52, in Sales, and earns at least 4,010", guessed from synthetic rows."""

import numpy as np
import pandas as pd

from synthetic.attacks.risk import Risk, some
from synthetic.space import Space
from synthetic.synthesizer import seeded

GUESSES = 500
TRIES = 6  # predicates that are made for each that is to be used
COLUMNS = (2, 3, 4)  # that a predicate speaks of
MOST_ROWS = 2_000


def single_out(
    space: Space, train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, *, seed: int = 0
) -> Risk | None:
    """A guess is a predicate that one synthetic row alone meets; it is right where one real row alone does.

    All three tables are cut to as many rows: how often a predicate meets one row by luck hangs on their number. So of
    a table that was learned from only as many rows are asked about as were held out. No more guesses are made than
    there are rows: more about the same few would hang together. None without guesses.
    """
    random = seeded(seed, 11)
    many = min(len(train), len(holdout), len(synthetic), MOST_ROWS)
    places = [space.table.encode(some(frame, many, random)) for frame in (synthetic, train, holdout)]
    ends = np.array([codec.card - codec.missing for codec in space.table.codecs])
    ranked = np.array([codec.ranked and codec.card > 2 for codec in space.table.codecs])
    middle = np.median(places[0], axis=0)
    spoken = np.flatnonzero([codec.card > 1 for codec in space.table.codecs])
    right = np.zeros(2, dtype=np.int64)
    guesses, most = 0, min(GUESSES, many)
    for _ in range(TRIES * most):
        if guesses == most or not len(spoken):
            break
        row = places[0][random.integers(many)]
        at = random.permutation(spoken)[: random.choice(COLUMNS)]
        drawn, members, strangers = (_meets(table, row, at, ends, ranked, middle) for table in places)
        if drawn == 1:
            guesses += 1
            right += [members == 1, strangers == 1]
    return Risk(int(right[0]), guesses, int(right[1]), guesses) if guesses else None


def _meets(
    places: np.ndarray, row: np.ndarray, at: np.ndarray, ends: np.ndarray, ranked: np.ndarray, middle: np.ndarray
) -> int:
    """How many rows are as this one: the same category, or a number at least as far from the middle as its own."""
    fits = np.ones(len(places), dtype=bool)
    for column in at:
        value, held = row[column], places[:, column]
        if not ranked[column] or value >= ends[column]:
            fits &= held.astype(np.int64) == int(value)
        elif value >= middle[column]:
            fits &= (held >= value) & (held < ends[column])
        else:
            fits &= held <= value
    return int(fits.sum())
