"""The two looks over files larger than memory, before a worker learns from them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.data.answer_key import Seen
from framework.data.arrays import plain, present
from framework.data.cut import TEST, TRAIN, VALID, Cut, positions
from framework.data.parquet import Footers, RowGroup, batches, column, split_keys
from framework.data.shards import Piece

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 65_536
DRAW = 1  # of Cut.chances: which of the rows to learn from are the sample


def count(system: Any, told: Footers, cut: Cut, *, target: str, group: str | None) -> tuple[tuple[Piece, ...], Seen]:
    """Over the target and the group alone: how many usable rows of each part every row group has, and what the target
    holds."""
    seen = Seen(target)
    usable: dict[RowGroup, np.ndarray] = {one: np.zeros(3, dtype=np.int64) for one in told.groups}
    for one, first, batch in _batches(system, told, [name for name in (target, group) if name]):
        there = seen.add(column(batch, told.names, target))
        parts = cut.parts(split_keys(batch, told.names, first, group))[there]
        usable[one] += np.bincount(parts, minlength=3)
    pieces = [Piece(one.path, one.place, one.first, tuple(held.tolist())) for one, held in usable.items()]
    return tuple(pieces), seen


def gather(
    system: Any,
    told: Footers,
    cut: Cut,
    *,
    target: str,
    group: str | None,
    shares: Mapping[int, float],
    ignored: set[str],
) -> dict[int, "pa.Table"]:
    """Over all columns: raw rows of each part, this share of them; all that is ever held at once."""
    import pyarrow as pa

    taken: dict[int, list[Any]] = defaultdict(list)
    names = [name for name in told.names if name not in ignored]
    empty = None
    for _, first, batch in _batches(system, told, names):
        empty = batch.slice(0, 0) if empty is None else empty
        parts = cut.parts(split_keys(batch, told.names, first, group))
        places = positions(first, batch.num_rows)
        lucky = cut.chances(places, DRAW)
        there = present(plain(column(batch, told.names, target)))
        for part, share in shares.items():
            chosen = np.flatnonzero(there & (parts == part) & (lucky < share))
            if len(chosen):
                taken[part].append(batch.take(pa.array(chosen)))
    return {part: pa.Table.from_batches(taken[part] or [empty]) for part in (TRAIN, VALID, TEST)}


def _batches(system: Any, told: Footers, names: list[str]) -> Iterator[tuple[RowGroup, int, "pa.RecordBatch"]]:
    """Every batch with its row group and the place of its first row."""
    theirs = [told.names[name] for name in names]
    for path, run in groupby(told.groups, key=lambda one: one.path):
        for one in run:
            first = one.first
            for batch in batches(system, path, [one.place], theirs, rows=BLOCK_ROWS):
                yield one, first, batch
                first += batch.num_rows
