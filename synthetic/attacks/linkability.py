"""Linkability: who holds two halves of a table's columns tells by the synthetic rows which halves are one person's."""

import numpy as np
import pandas as pd

from synthetic.attacks.apart import Apart
from synthetic.attacks.risk import MOST_SYNTHETIC, MOST_TARGETS, Risk, some
from synthetic.space import Space
from synthetic.synthesizer import seeded

NEIGHBOURS = 5


def link(
    space: Space, train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, *, seed: int = 0
) -> Risk | None:
    """A guess is right where a row's two halves have a synthetic row in common among the nearest of each.

    None for a table that cannot be halved.
    """
    random = seeded(seed, 12)
    columns = random.permutation(np.flatnonzero([codec.card > 1 for codec in space.table.codecs]))
    if len(columns) < 2:
        return None
    halves = columns[: len(columns) // 2].tolist(), columns[len(columns) // 2 :].tolist()
    drawn = some(synthetic, MOST_SYNTHETIC, random)
    told: list[tuple[int, int]] = []
    for frame in (train, holdout):
        rows = some(frame, MOST_TARGETS, random)
        apart = Apart(space, rows, drawn)
        near = [_nearest(apart.columns(half)) for half in halves]
        shared = (near[0][:, :, None] == near[1][:, None, :]).any(axis=(1, 2))
        told.append((int(shared.sum()), len(rows)))
    members, strangers = told
    return Risk(*members, *strangers)


def _nearest(squares: np.ndarray) -> np.ndarray:
    """The places of each row's nearest others, shape (rows, NEIGHBOURS)."""
    many = min(NEIGHBOURS, squares.shape[1])
    return np.asarray(np.argpartition(squares, many - 1, axis=1)[:, :many])
