"""How far rows lie from one another in single columns, for attackers who know some columns and not others."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from synthetic.space import Space
from synthetic.table import TableCodec


class Apart:
    """Squared distances from some rows to others, in the columns' own parts of the space's points."""

    def __init__(self, space: Space, rows: pd.DataFrame, others: pd.DataFrame) -> None:
        narrow = [Space(TableCodec((codec,)), space.places[:, [at]]) for at, codec in enumerate(space.table.codecs)]
        self._points = [[each.points(frame).astype(np.float32) for each in narrow] for frame in (rows, others)]
        self.shape = (len(rows), len(others))

    def column(self, at: int) -> np.ndarray:
        """float32, shape (rows, others). 1 for two categories; of numbers the squared difference of their ranks."""
        ours, theirs = (points[at] for points in self._points)
        squares = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)[None] - 2 * ours @ theirs.T
        return np.asarray(np.maximum(squares, 0.0), dtype=np.float32)

    def columns(self, places: Sequence[int]) -> np.ndarray:
        """The same of several columns together."""
        total = np.zeros(self.shape, dtype=np.float32)
        for at in places:
            total += self.column(at)
        return total
