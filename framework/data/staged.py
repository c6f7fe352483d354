"""Delimited files written as Parquet once, so that workers read their own part of the rows."""

import hashlib
import json
import logging
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from framework.data.arrays import plain
from framework.data.column import Column, SchemaError
from framework.data.data_error import DataError
from framework.data.describe import describe

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

LOOK_ROWS = 20_000  # of the head, off which it is seen which columns are numbers


def staged(uri: str, system: Any, paths: Sequence[str], *, folder: str | Path | None = None) -> Path:
    """A folder of Parquet files with the rows of these delimited files; written by Ray Data when it is not there yet.

    folder: where the folder is made, one for each state of the files; every worker of the cluster must reach it. By
        default it lies among this machine's temporary files.
    Columns of numbers are written as such, all others as the text they are. Raises DataError for files that do not
    parse, and for a column of numbers that holds something else further down.
    """
    home = Path(folder) if folder is not None else Path(tempfile.gettempdir()) / "staged"
    ready = home / _digest(system, paths)
    if ready.is_dir():
        return ready
    from framework.streamed import streamed

    found = streamed(uri)
    if found is None:
        raise DataError(f"{uri} is no delimited file.")
    rows = found.dataset(list(found.columns))
    numbers = _numbers(pd.DataFrame(rows.take(LOOK_ROWS), columns=list(found.columns)))
    partial = home / f"partial-{uuid.uuid4().hex[:8]}"
    partial.mkdir(parents=True)
    log.info("%s: written as Parquet to %s, once", uri, ready)
    try:
        rows.map_batches(_typed, fn_kwargs={"numbers": numbers}, batch_format="pyarrow").write_parquet(str(partial))
        partial.rename(ready)
    except Exception as error:  # Ray Data tells of a malformed line only that a task failed
        shutil.rmtree(partial, ignore_errors=True)
        found.diagnose()
        raise DataError(f"{uri} could not be written as Parquet: {str(error).strip().splitlines()[-1]}") from error
    return ready


def _digest(system: Any, paths: Sequence[str]) -> str:
    """Short, of the files' names, sizes and times."""
    told = [
        (PurePosixPath(path).name, info.size, info.mtime_ns)
        for path, info in zip(paths, system.get_file_info(list(paths)), strict=True)
    ]
    return hashlib.sha256(json.dumps([told, list(paths)]).encode()).hexdigest()[:16]


def _numbers(head: pd.DataFrame) -> list[Column]:
    """The columns that are numbers as far as one sees."""
    found = []
    for name in head.columns:
        try:
            told = describe(str(name), plain(head[name]), kept=True)
        except SchemaError:
            continue
        if isinstance(told, Column) and told.kind == "number":
            found.append(told)
    return found


def _typed(batch: "pa.Table", numbers: list[Column]) -> "pa.Table":
    import pyarrow as pa

    for column in numbers:
        place = batch.schema.get_field_index(column.name)
        values = column.take(plain(batch.column(place).to_pandas()), [])
        typed = pa.array(values, from_pandas=True)
        batch = batch.set_column(place, column.name, typed)
    return batch
