"""Parquet files as one long table: what their footers tell, and its rows in batches."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.data.cut import group_keys, positions
from framework.data.data_error import DataError
from framework.data.names import distinct_names

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

BUFFER_BYTES = 2**20  # of a column read ahead: without it a whole row group's bytes are held at once
FOOTERS_AT_ONCE = 8
UNNAMED_INDEX = "__index_level_"  # what pandas calls an index without a name


@dataclass(frozen=True)
class RowGroup:
    """first: the place of its first row among all rows of all files. bytes: its size before compression."""

    path: str
    place: int
    first: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Footers:
    """names: the columns as we call them → as the files do. digest: of the files' names, sizes and statistics."""

    names: dict[str, str]
    groups: tuple[RowGroup, ...] = field(repr=False)
    digest: str

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.groups)

    @property
    def bytes(self) -> int:
        """Of the rows in memory, roughly: eight a cell, or what the files say where texts make it more."""
        return max(8 * len(self.names) * self.rows, sum(group.bytes for group in self.groups))


def footers(system: Any, paths: Sequence[str]) -> Footers:
    """What the footers of files with the same columns tell; no row is read.

    Raises DataError naming the file that is no Parquet file, or has other columns than the first.
    """
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        found = list(pool.map(lambda path: _footer(system, path), paths))
    columns = found[0][0]
    groups: list[RowGroup] = []
    first = 0
    for path, (names, sizes, _) in zip(paths, found, strict=True):
        if names != columns:
            odd = next((name for name in (*names, *columns) if (name in names) != (name in columns)), "their order")
            raise DataError(f"{path} and {paths[0]} have different columns ({odd}). Files read together have the same.")
        for place, (rows, size) in enumerate(sizes):
            groups.append(RowGroup(path, place, first, rows, size))
            first += rows
    kept = [name for name in columns if not name.startswith(UNNAMED_INDEX)]
    if len(set(kept)) < len(kept):
        twice = next(name for name in kept if kept.count(name) > 1)
        raise DataError(f"column {twice!r} is there twice in {paths[0]}. Rename one of them.")
    told = json.dumps([(columns, sizes, stamp) for columns, sizes, stamp in found], default=str)
    return Footers(
        dict(zip(distinct_names(kept)[0], kept, strict=True)),
        tuple(groups),
        hashlib.sha256(told.encode()).hexdigest(),
    )


def _footer(system: Any, path: str) -> tuple[list[str], list[tuple[int, int]], list[Any]]:
    """The columns, (rows, bytes) of each row group, and what would change with the contents."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        size = system.get_file_info(path).size
        with parquet.ParquetFile(path, filesystem=system) as file:
            metadata, names = file.metadata, list(file.schema_arrow.names)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is no readable Parquet file: {str(error).splitlines()[0]}") from error
    sizes, stamp = [], [PurePosixPath(path).name, size]
    for place in range(metadata.num_row_groups):
        group = metadata.row_group(place)
        sizes.append((group.num_rows, group.total_byte_size))
        for column in range(group.num_columns):
            chunk = group.column(column)
            told = chunk.statistics
            limits = [told.min, told.max, told.null_count] if told is not None and told.has_min_max else []
            stamp.append([chunk.total_compressed_size, *limits])
    return names, sizes, stamp


@contextmanager
def opened(system: Any, path: str) -> Iterator["parquet.ParquetFile"]:
    """A Parquet file to read `batches` from. Raises DataError, also from within, when it is damaged or gone."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, filesystem=system, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def batches(
    file: "parquet.ParquetFile", row_group: int, columns: Sequence[str], *, rows: int
) -> Iterator["pa.RecordBatch"]:
    """The rows of one row group in batches of `rows` at most, these columns, named as in the file.

    One batch and a little of each column is in memory, however large the row group.
    """
    yield from file.iter_batches(rows, row_groups=[row_group], columns=list(columns), use_threads=False)


def column(batch: "pa.RecordBatch", names: Mapping[str, str], name: str) -> pd.Series:
    """A column of a batch as pandas has it. names: column → its name in the files."""
    import pyarrow as pa

    one = pa.table({"one": batch.column(names[name])}).to_pandas(date_as_object=False, ignore_metadata=True)
    values: pd.Series = one["one"].rename(name)
    return values


def split_keys(batch: "pa.RecordBatch", names: Mapping[str, str], first: int, group: str | None) -> np.ndarray:
    """What a split by hash goes by, uint64, shape (rows,). first: the place of the batch's first row."""
    return positions(first, batch.num_rows) if group is None else group_keys(column(batch, names, group))
