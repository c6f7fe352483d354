"""Rows from files: one by path, many by glob or folder, on this machine or on S3."""

import glob
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pandas as pd

from framework.data.data_error import DataError, nearest
from framework.data.delimited import read_delimited
from framework.data.records import read_json, read_jsonl

if TYPE_CHECKING:
    from pyarrow import fs

SUFFIXES = (".csv", ".tsv", ".parquet", ".json", ".jsonl")
_SAME = {".txt": ".csv", ".pq": ".parquet", ".ndjson": ".jsonl"}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
_S3_SECONDS = 10.0


def read_files(uri: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows of all files that a path, a glob, a folder or an `s3://` URI names, one file under the other.

    Returns the rows and the reader's remarks. Raises DataError naming the file and what is wrong with it.
    """
    try:
        system, paths = s3(uri) if uri.startswith("s3://") else local(uri.removeprefix("file://"))
    except PermissionError as error:
        raise DataError(f"{uri} may not be read: permission denied. Change its rights, or the user.") from error
    frames: list[pd.DataFrame] = []
    remarks: list[str] = []
    for path in paths:
        frame, told = _read_file(system, path)
        if frames:
            _check_alike(frames[0], frame, paths[0], path)
        frames.append(frame)
        remarks += told
    if len(frames) == 1:
        return frames[0], remarks
    return pd.concat(frames, ignore_index=True), list(dict.fromkeys(remarks))


def local(pattern: str) -> tuple["fs.FileSystem", list[str]]:
    from pyarrow import fs

    path = Path(pattern).expanduser()
    if path.is_file():
        return fs.LocalFileSystem(), [str(path)]
    if path.is_dir():
        found = sorted(
            str(inside) for inside in path.iterdir() if inside.is_file() and suffix_of(inside.name) in SUFFIXES
        )
        if not found:
            raise DataError(f"folder {pattern} holds no {', '.join(SUFFIXES)} file.")
        return fs.LocalFileSystem(), found
    if glob.has_magic(str(path)):
        found = sorted(name for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if not found:
            raise DataError(f"no file matches {pattern}. {_neighbours(path)}")
        return fs.LocalFileSystem(), found
    raise DataError(f"there is no file {pattern}. {_neighbours(path)}")


def _neighbours(path: Path) -> str:
    """What there is in the folder that was meant."""
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    try:
        names = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    except PermissionError:
        return f"Its folder {path.parent} may not be read."
    return nearest(path.name, names, what="files there")


def s3(uri: str) -> tuple["fs.FileSystem", list[str]]:
    """`s3://bucket/key?region=…&endpoint_override=…&scheme=http`: pyarrow's S3 parameters."""
    from pyarrow import fs

    address, _, parameters = uri.partition("?") if "=" in uri else (uri, "", "")
    key = address.removeprefix("s3://")
    options: dict[str, Any] = dict(parse_qsl(parameters))
    retry = fs.AwsStandardS3RetryStrategy(max_attempts=2)
    try:
        options.setdefault("request_timeout", _S3_SECONDS)
        options.setdefault("connect_timeout", _S3_SECONDS)
        system = fs.S3FileSystem(retry_strategy=retry, **options)
        if not glob.has_magic(key):
            return system, [key]
        folder = key[: key.index(next(c for c in key if c in "*?["))].rpartition("/")[0]
        entries = system.get_file_info(fs.FileSelector(folder, recursive=True))
        found = sorted(e.path for e in entries if e.is_file and PurePosixPath(e.path).match(key))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{address} cannot be reached: {_first_line(error)}") from error
    if not found:
        raise DataError(f"no object matches {address}.")
    return system, found


def _read_file(system: "fs.FileSystem", path: str) -> tuple[pd.DataFrame, list[str]]:
    suffix = suffix_of(path)
    reader = _READERS.get(suffix)
    if reader is None:
        what = f"ends in {suffix!r}" if suffix else "has no ending"
        raise DataError(f"{path} {what}, which says no table format. Known are {', '.join(SUFFIXES)}.")
    try:
        return reader(system, path)
    except PermissionError as error:
        raise DataError(f"{path} may not be read: permission denied. Change its rights, or the user.") from error
    except DataError:
        raise
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {_first_line(error)}") from error


def suffix_of(path: str) -> str:
    pure = PurePosixPath(path.replace(os.sep, "/").lower())
    suffix = PurePosixPath(pure.stem).suffix if pure.suffix in _COMPRESSED else pure.suffix
    return _SAME.get(suffix, suffix)


def _opener(system: "fs.FileSystem", path: str) -> Callable[[], Any]:
    return lambda: system.open_input_stream(path, compression="detect")


def _read_csv(system: "fs.FileSystem", path: str) -> tuple[pd.DataFrame, list[str]]:
    return read_delimited(_opener(system, path), path, "\t" if suffix_of(path) == ".tsv" else None)


def _read_parquet(system: "fs.FileSystem", path: str) -> tuple[pd.DataFrame, list[str]]:
    import pyarrow as pa
    from pyarrow import parquet

    if system.get_file_info(path).size == 0:
        raise DataError(f"{path} is empty: it has no bytes.")
    try:
        table = parquet.ParquetFile(path, filesystem=system, memory_map=False).read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{path} is no readable Parquet file: {_first_line(error)}") from error
    return table.to_pandas(date_as_object=False, self_destruct=True), []


def _read_json(system: "fs.FileSystem", path: str) -> tuple[pd.DataFrame, list[str]]:
    reader = read_jsonl if suffix_of(path) == ".jsonl" else read_json
    return reader(_opener(system, path), path), []


def _check_alike(first: pd.DataFrame, other: pd.DataFrame, first_path: str, path: str) -> None:
    lacking = [str(name) for name in first.columns if name not in other.columns]
    extra = [str(name) for name in other.columns if name not in first.columns]
    if lacking or extra:
        what = f"has no column {lacking[0]!r}" if lacking else f"has a column {extra[0]!r} of its own"
        raise DataError(f"{path} {what}, unlike {first_path}. Files read together have the same columns.")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") + "."


_READERS: dict[str, Callable[["fs.FileSystem", str], tuple[pd.DataFrame, list[str]]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".jsonl": _read_json,
}
