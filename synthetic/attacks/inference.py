"""Attribute inference: who knows all of a row but one column reads that one off the nearest synthetic row."""

import numpy as np
import pandas as pd

from synthetic.attacks.apart import Apart
from synthetic.attacks.risk import MOST_SYNTHETIC, MOST_TARGETS, Risk, some
from synthetic.space import Space
from synthetic.synthesizer import seeded

TOLERANCE = 0.025  # of a number's rank among the real ones, within which a guess is right
MOST_SECRETS = 40
LEVEL = 0.05  # chance that the worst of all columns' intervals lies off


def infer(
    space: Space, train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, *, seed: int = 0
) -> Risk | None:
    """The column for which learned rows are guessed best beyond others, each interval as wide as their number asks for
    (Bonferroni). None for a table of one column."""
    random = seeded(seed, 13)
    columns = np.flatnonzero([codec.card > 1 for codec in space.table.codecs])
    if len(columns) < 2:
        return None
    secrets = random.permutation(columns)[:MOST_SECRETS]
    drawn = some(synthetic, MOST_SYNTHETIC, random)
    members, strangers = (
        _right(space, some(frame, MOST_TARGETS, random), drawn, secrets) for frame in (train, holdout)
    )
    risks = [
        Risk(
            int(members[:, place].sum()), len(members), int(strangers[:, place].sum()), len(strangers),
            about=space.table.names[at], level=1 - LEVEL / len(secrets),
        )
        for place, at in enumerate(secrets)
    ]  # fmt: skip
    return max(risks, key=lambda risk: risk.low)


def _right(space: Space, rows: pd.DataFrame, drawn: pd.DataFrame, secrets: np.ndarray) -> np.ndarray:
    """Whether each row's value is guessed by its neighbour in all other columns, shape (rows, secrets), bool."""
    apart = Apart(space, rows, drawn)
    total = apart.columns(range(len(space.table.codecs)))
    right = []
    for at in secrets:
        own = apart.column(int(at))
        nearest = (total - own).argmin(axis=1)
        right.append(own[np.arange(len(rows)), nearest] <= TOLERANCE**2)
    return np.stack(right, axis=1)
