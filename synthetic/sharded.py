"""Many rows into one Parquet file, in shards that hang on (seed, shard) alone: the same from any number of workers.

Rows equal to one that was learned from are dropped and counted.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framework.plain import WriteError, write_json
from synthetic.arrow_schema import arrow_of, schema_of
from synthetic.fitted import Fitted, SamplingError
from synthetic.manifest import Manifest
from synthetic.synthesizer import seeded

SHARD_ROWS = 50_000
MOST_COPIES = 0.5  # of a shard's rows; more say that the table is too coarse for the rule
FURTHER = 8  # times that a shard may draw anew in the place of rows it dropped


def write_rows(
    fitted: Fitted,
    path: Path | str,
    *,
    rows: int,
    seed: int = 0,
    conditions: Mapping[str, Any] | None = None,
    workers: int = 1,
    copies_of: pd.DataFrame | None = None,
    shard_rows: int = SHARD_ROWS,
) -> Manifest:
    """Writes `rows` rows to a Parquet file and, beside it, `NAME.manifest.json`; whole, or not at all.

    copies_of: the rows learned from: a row equal to one of them is dropped, and another drawn. workers: Ray tasks at
    once, from 2; 1: here, without Ray. A few shards are held in memory, however many rows there are.
    Raises what `Fitted.sample` does; SamplingError where most rows are copies; WriteError.
    """
    import pyarrow.parquet as pq

    path, asked = Path(path), dict(conditions or {})
    fitted.sample(0, asked, seed=seed)  # what cannot be asked is told before a worker starts
    keys = None if copies_of is None else np.unique(row_keys(copies_of[list(fitted.table.names)]))
    counts, schema = shard_counts(rows, shard_rows), schema_of(fitted.table)
    part = path.with_name(path.name + ".part")
    told: list[dict[str, Any]] = []
    dropped = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        try:
            for number, (frame, copies) in enumerate(_shards(fitted, counts, seed, asked, keys, workers)):
                table = arrow_of(frame, schema)
                writer = writer or pq.ParquetWriter(part, table.schema)
                writer.write_table(table)
                dropped += copies
                told.append({"shard": number, "rows": len(frame), "copies_dropped": copies, "sha256": digest(frame)})
        finally:
            if writer is not None:
                writer.close()
        part.replace(path)
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror or error}). Pass another --out folder.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    manifest = Manifest(path.name, rows, seed, shard_rows, dropped, asked, tuple(told), fitted.facts)
    write_json(path.with_suffix(".manifest.json"), manifest.to_json())
    return manifest


def shard_counts(rows: int, shard_rows: int) -> list[int]:
    """How many rows each shard has."""
    return [min(shard_rows, rows - begin) for begin in range(0, rows, shard_rows)] or [0]


def shard(
    fitted: Fitted, number: int, rows: int, *, seed: int, conditions: Mapping[str, Any], keys: np.ndarray | None = None
) -> tuple[pd.DataFrame, int]:
    """One shard's rows, and how many copies were dropped for it: by one thread, in whichever process."""
    with _one_thread():
        return _drawn(fitted, number, rows, seed=seed, conditions=conditions, keys=keys)


def _drawn(
    fitted: Fitted, number: int, rows: int, *, seed: int, conditions: Mapping[str, Any], keys: np.ndarray | None
) -> tuple[pd.DataFrame, int]:
    found: list[pd.DataFrame] = []
    have = dropped = 0
    for attempt in range(FURTHER + 1):
        drawn_from = int(seeded(seed, number, attempt).integers(2**62))
        drawn = fitted.sample(rows - have, conditions, seed=drawn_from)
        copied = np.zeros(len(drawn), dtype=bool) if keys is None else np.isin(row_keys(drawn), keys)
        dropped += int(copied.sum())
        if copied.sum() > max(10, math.ceil(MOST_COPIES * len(drawn))):
            raise SamplingError(
                f"{int(copied.sum()):,} of {len(drawn):,} rows are equal to rows learned from: the table has so few "
                f"distinct rows that this cannot be helped. Keep such rows (--keep-copies), or leave columns coarse "
                f"enough out."
            )
        found.append(drawn[~copied].reset_index(drop=True) if copied.any() else drawn)
        have += int((~copied).sum())
        if have >= rows:
            return pd.concat(found, ignore_index=True) if len(found) > 1 else found[0], dropped
    raise SamplingError(f"shard {number} still lacks {rows - have} rows that are no copies, after {FURTHER} draws.")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums are added up in one order: the last digit must not hang on how many threads there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _pools().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _pools() -> Any:
    """The thread pools of this process. Looking for them takes longer than drawing a few rows."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def row_keys(frame: pd.DataFrame) -> np.ndarray:
    """A number for each row that equal rows share, uint64, shape (rows,)."""
    plain = pd.DataFrame({
        name: frame[name].astype(object) if isinstance(frame[name].dtype, pd.CategoricalDtype) else frame[name]
        for name in frame.columns
    })  # fmt: skip
    return np.asarray(pd.util.hash_pandas_object(plain, index=False, categorize=True).to_numpy())


def digest(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's rows in their order."""
    return hashlib.sha256(row_keys(frame).tobytes()).hexdigest()


def _shards(
    fitted: Fitted,
    counts: list[int],
    seed: int,
    conditions: Mapping[str, Any],
    keys: np.ndarray | None,
    workers: int,
) -> Iterator[tuple[pd.DataFrame, int]]:
    """In order; of those that workers make, one more a worker than it makes at a time is held."""
    if workers == 1 or len(counts) == 1:
        for number, rows in enumerate(counts):
            yield shard(fitted, number, rows, seed=seed, conditions=conditions, keys=keys)
        return
    import ray

    from cluster.connect import connect
    from cluster.tasks import cancel
    from framework.contest.attempt import Crash

    connect()
    far = ray.remote(max_retries=3)(_far)
    held, known = ray.put(fitted), ray.put(keys)
    waiting: list[Any] = []
    try:
        for number in range(len(counts)):
            while len(waiting) < 2 * workers and number + len(waiting) < len(counts):
                nth = number + len(waiting)
                waiting.append(far.remote(held, nth, counts[nth], seed, dict(conditions), known))
            told = ray.get(waiting.pop(0))
            if isinstance(told, Crash):
                raise SamplingError(str(told))
            yield told
    finally:
        for left in waiting:
            cancel(left)


def _far(
    fitted: Fitted, number: int, rows: int, seed: int, conditions: Mapping[str, Any], keys: np.ndarray | None
) -> Any:
    """A shard on a worker; a mistake comes home as text."""
    from cluster.user_error import UserError
    from framework.contest.attempt import Crash

    try:
        return shard(fitted, number, rows, seed=seed, conditions=conditions, keys=keys)
    except UserError as error:
        return Crash("", str(error), "")
