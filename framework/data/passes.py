"""The two looks over files larger than memory before a worker learns from them, by threads on all cores."""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from framework.data.answer_key import Seen
from framework.data.arrays import plain, present
from framework.data.cut import TEST, TRAIN, VALID, Cut, positions
from framework.data.parquet import Footers, RowGroup, batches, column, opened, split_keys
from framework.data.shards import Piece

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 65_536
DRAW = 1  # of Cut.chances: which of the rows to learn from are the sample
RUN_GROUPS = 8  # row groups that a thread reads from a file it opened: opening one is reading its whole footer
MOST_THREADS = 8  # each has a block in memory

Item = TypeVar("Item")
Found = TypeVar("Found")
Run = tuple[RowGroup, ...]


def count(system: Any, told: Footers, cut: Cut, *, target: str, group: str | None) -> tuple[tuple[Piece, ...], Seen]:
    """Over the target and the group alone: how many usable rows of each part every row group has, and what the target
    holds."""
    names = [name for name in (target, group) if name]

    def look(run: Run) -> tuple[Seen, dict[RowGroup, np.ndarray]]:
        seen = Seen(target)
        usable = {one: np.zeros(3, dtype=np.int64) for one in run}
        for one, first, batch in _batches(system, told, run, names):
            there = seen.add(column(batch, told.names, target))
            usable[one] += np.bincount(cut.parts(split_keys(batch, told.names, first, group))[there], minlength=3)
        return seen, usable

    seen = Seen(target)
    pieces: list[Piece] = []
    for found, usable in _in_turn(look, _runs(told)):
        seen.join(found)
        pieces += [Piece(one.path, one.place, one.first, tuple(held.tolist())) for one, held in usable.items()]
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

    names = [name for name in told.names if name not in ignored]

    def look(run: Run) -> dict[int, list[pa.RecordBatch]]:
        taken: dict[int, list[pa.RecordBatch]] = defaultdict(list)
        for _, first, batch in _batches(system, told, run, names):
            parts = cut.parts(split_keys(batch, told.names, first, group))
            lucky = cut.chances(positions(first, batch.num_rows), DRAW)
            there = present(plain(column(batch, told.names, target)))
            for part, share in shares.items():
                chosen = np.flatnonzero(there & (parts == part) & (lucky < share))
                if len(chosen) or not taken[part]:
                    taken[part].append(batch.take(pa.array(chosen)))
        return taken

    taken: dict[int, list[Any]] = defaultdict(list)
    for found in _in_turn(look, _runs(told)):
        for part, rows in found.items():
            taken[part] += rows
    return {part: pa.Table.from_batches(taken[part]) for part in (TRAIN, VALID, TEST)}


def _runs(told: Footers) -> Iterator[Run]:
    """Row groups that follow each other in one file."""
    for _, found in groupby(told.groups, key=lambda one: one.path):
        groups = tuple(one for one in found if one.rows)
        for begin in range(0, len(groups), RUN_GROUPS):
            yield groups[begin : begin + RUN_GROUPS]


def _in_turn(look: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
    """`look` of each item, in their order, while threads are at the next ones: pyarrow and numpy let them."""
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[Found]] = deque()
        for item in items:
            under_way.append(pool.submit(look, item))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _batches(
    system: Any, told: Footers, run: Run, names: list[str]
) -> Iterator[tuple[RowGroup, int, "pa.RecordBatch"]]:
    """Every batch with its row group and the place of its first row."""
    theirs = [told.names[name] for name in names]
    with opened(system, run[0].path) as file:
        for one in run:
            first = one.first
            for batch in batches(file, one.place, theirs, rows=BLOCK_ROWS):
                yield one, first, batch
                first += batch.num_rows
