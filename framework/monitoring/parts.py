"""A folder of Parquet files that grows by whole files: many processes write at once, and none is read half."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from cluster.user_error import UserError
from framework.data.values import text_of

log = logging.getLogger(__name__)

AT = "at"  # the column of each record's moment

Record = Mapping[str, Any]  # plain values by column; "at" in UNIX seconds


class LogError(UserError):
    """A log that is not there, cannot be written, or has nothing to say on what was asked."""


class Parts:
    """Records gathered and written, one file for so many of them or so many seconds, whichever comes first.

    A file is written beside and renamed, so that a process which dies loses its open part and nothing else.
    At most `rows` and one `add` are held. Files are readable by this user alone: they hold what clients sent.
    dropped: records that could not be written, the disk being full, say; told once in the log each time it begins.
    """

    def __init__(self, folder: Path | str, *, rows: int = 10_000, seconds: float = 30.0) -> None:
        if not (rows > 0 and seconds > 0):
            raise LogError(f"rows={rows}, seconds={seconds:g}: a part of a log has more than 0 of either.")
        self.folder, self.rows, self.seconds = Path(folder), rows, seconds
        self.dropped = 0
        self._failing = False
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        writable(self.folder)
        self._thread = threading.Thread(target=self._work, name="parts", daemon=True)
        self._thread.start()

    def add(self, records: Sequence[Record]) -> None:
        """Takes records; returns after a write where they fill a part, or where it was closed meanwhile."""
        with self._lock:
            self._records += records
            if len(self._records) >= self.rows or self._ending.is_set():
                self._write()

    def flush(self) -> None:
        """Writes what is held, however little."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Writes the rest and ends."""
        self._ending.set()
        self._thread.join()
        self.flush()

    def _work(self) -> None:
        while not self._ending.wait(self.seconds):
            self.flush()

    def _write(self) -> None:
        records, self._records = self._records, []
        if not records:
            return
        moments = [record[AT] for record in records]
        name = f"{_micros(min(moments))}-{_micros(max(moments))}-{uuid.uuid4().hex[:12]}.parquet"
        part = self.folder / f".{name}.part"
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                parquet.write_table(_table(records), stream, compression="zstd")
            part.replace(self.folder / name)
            self._failing = False
        except Exception as error:  # the border to the disk: a log that fails must not fail what it watches
            part.unlink(missing_ok=True)
            self.dropped += len(records)
            if not self._failing:
                log.error("%d records could not be written to %s: %s", len(records), self.folder, error)
            self._failing = True


def writable(folder: Path) -> None:
    """Makes a folder of a log. Raises LogError where it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LogError(f"the log folder {folder} cannot be made ({error.strerror}). Pass another.") from error
    if not os.access(folder, os.W_OK):
        raise LogError(f"the log folder {folder} cannot be written to. Pass another.")


def read_parts(
    folder: Path, *, since: float | None = None, until: float | None = None, most: int | None = None
) -> pa.Table:
    """The records from `since` to before `until`, UNIX seconds, as they were written, in order of time.

    most: of more records the latest, in whole files: the older files are not opened once so many have been read.
    Files wholly outside are not opened. A column that holds texts in one file and numbers in another is text.
    Without any record the table has no column.
    """
    tables: list[pa.Table] = []
    for path in reversed(list(_within(folder, since, until))):
        if most is not None and sum(len(table) for table in tables) >= most:
            break
        tables.insert(0, parquet.read_table(path))
    if not tables:
        return pa.table({})
    table = pa.concat_tables(_alike(tables), promote_options="permissive")
    moments = table.column(AT).cast(pa.int64()).to_numpy()
    inside = (moments >= _stamp(since, -1)) & (moments < _stamp(until, 1))
    return table.filter(pa.array(inside)).sort_by(AT)


def prune(folder: Path | str, *, days: float) -> int:
    """Removes the files of a log, or of all its models, whose last record is older than so many days. How many.

    Raises LogError for no days.
    """
    if not days > 0:
        raise LogError(f"{days:g} days: what is kept of a log is more than nothing. Pass more than 0.")
    before = time.time() - 86_400 * days
    old = [path for path in Path(folder).rglob("*.parquet") if (span := _span(path)) and span[1] < before * 1e6]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _within(folder: Path, since: float | None, until: float | None) -> Iterator[Path]:
    for path in sorted(folder.glob("*.parquet")):
        span = _span(path)
        if span and span[1] >= _stamp(since, -1) and span[0] < _stamp(until, 1):
            yield path


def _span(path: Path) -> tuple[int, int] | None:
    """The first and the last moment of a file, by its name; None where it is none of ours."""
    first, _, rest = path.name.partition("-")
    last = rest.partition("-")[0]
    return (int(first), int(last)) if first.isdigit() and last.isdigit() else None


def _micros(moment: float) -> str:
    return f"{round(moment * 1e6):016d}"


def _stamp(moment: float | None, side: int) -> float:
    return side * float("inf") if moment is None else round(moment * 1e6)


def _table(records: Sequence[Record]) -> pa.Table:
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: _array([record.get(name) for record in records]) for name in names}
    columns[AT] = pa.array([round(record[AT] * 1e6) for record in records], pa.timestamp("us", "UTC"))
    return pa.table(columns)


def _array(values: list[Any]) -> pa.Array:
    """An array of one type: texts where the values have several."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([text_of(value) for value in values], pa.string())


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """Tables whose columns of one name have types that go together."""
    kinds: dict[str, set[str]] = {}
    for table in tables:
        for field in table.schema:
            if not pa.types.is_null(field.type):
                kinds.setdefault(field.name, set()).add(_sort(field.type))
    mixed = {name for name, found in kinds.items() if len(found) > 1}
    return [_texts(table, mixed) for table in tables] if mixed else tables


def _texts(table: pa.Table, names: set[str]) -> pa.Table:
    for name in names & set(table.column_names):
        texts = pa.array([text_of(value) for value in table.column(name).to_pylist()], pa.string())
        table = table.set_column(table.column_names.index(name), name, texts)
    return table


def _sort(kind: pa.DataType) -> str:
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return "number" if number else str(kind)
