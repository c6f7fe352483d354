"""Rows on their way into a boosting engine: weights of classes on them, by query, or just enough to find bins on."""

from dataclasses import replace

import numpy as np
import pandas as pd

from framework.contenders.boosting import BoostingError
from framework.contenders.native import Native
from framework.data.cut import splitmix64
from framework.data.frame import Frame, Rows, join
from framework.data.shards import Shards

MOST_SAMPLE = 200_000  # rows that bins are found on


def single(rows: Rows) -> Rows:
    """The same rows; numbers in files are read as float32, for an engine that keeps them so."""
    return rows.single() if isinstance(rows, Shards) else rows


def matrix(native: Native, X: pd.DataFrame) -> np.ndarray:
    """As `native.matrix`; what was read as float32 stays it, and is not copied."""
    return X.to_numpy() if (X.dtypes == np.float32).all() else native.matrix(X)


def few(sample: Frame) -> Frame:
    """Rows that bins are found on: evenly from all of these."""
    return sample.take(np.unique(np.linspace(0, len(sample) - 1, MOST_SAMPLE).astype(int)))


def weighed(frame: Frame, factors: np.ndarray | None) -> Frame:
    """The rows with the weights of their classes on top of their own."""
    if factors is None:
        return frame
    own = 1.0 if frame.weight is None else frame.weight
    return replace(frame, truth=replace(frame.truth, weight=own * factors[frame.y]))


def by_query(rows: Rows, part: int = 0, parts: int = 1) -> Frame:
    """Whole queries in order, for rankings: of each query all rows fall to one part.

    Every part reads all rows and keeps its own in memory. Raises BoostingError when a part gets none.
    """
    kept = []
    for block in rows.blocks(0, 1):
        if block.group is None:
            raise BoostingError("a ranking needs the query of each row. Pass its column as group.")
        mine = splitmix64(block.group.astype(np.int64).view(np.uint64)) % np.uint64(parts) == part
        kept.append(block.take(np.flatnonzero(mine)))
    whole = join(kept)
    if not len(whole) or whole.group is None:
        raise BoostingError(f"there are too few queries to share them out to {parts} workers. Ask for fewer.")
    return whole.take(np.argsort(whole.group, kind="stable"))


def queries(frame: Frame) -> np.ndarray:
    """The number of each row's query, counted from 0 in the order of the rows, shape (rows,)."""
    assert frame.group is not None
    fresh = np.concatenate([[0], np.cumsum(frame.group[1:] != frame.group[:-1])])
    return fresh.astype(np.uint32)
