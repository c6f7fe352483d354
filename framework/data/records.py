"""Rows from JSON: records, one after the other or one a line."""

import io
from collections.abc import Callable
from typing import Any

import pandas as pd

from framework.data.data_error import DataError


def read_json(opened: Callable[[], Any], path: str) -> pd.DataFrame:
    """A list of records, a record of columns, or one record a line."""
    import orjson

    with opened() as stream:
        text = stream.read().removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise DataError(f"{path} is empty.")
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if text[:1] != b"{" or b"\n" not in text:
            raise DataError(f"{path} does not parse as JSON: {error}.") from error
        data = _records(text, path)
    if isinstance(data, dict) and not any(isinstance(value, list | dict) for value in data.values()):
        data = [data]
    rows = data if isinstance(data, list) else None
    if rows is not None and not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is no table: a JSON table is a list of records, and {str(rows[0])[:40]!r} is none.")
    if rows is None and not (isinstance(data, dict) and all(isinstance(value, list) for value in data.values())):
        raise DataError(f"{path} is no table: a JSON table is a list of records, or one list a column.")
    try:
        return pd.DataFrame(data)
    except ValueError as error:
        raise DataError(f"{path} is no table: its columns have different lengths.") from error


def read_jsonl(opened: Callable[[], Any], path: str) -> pd.DataFrame:
    """One record a line."""
    with opened() as stream:
        text = stream.read().removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise DataError(f"{path} is empty.")
    return pd.DataFrame(_records(text, path))


def _records(text: bytes, path: str) -> list[dict[str, Any]]:
    """One record a line. Raises DataError naming the first line that is none."""
    import orjson

    rows: list[dict[str, Any]] = []
    for number, line in enumerate(io.BytesIO(text), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise DataError(f"{path} does not parse as JSON: line {number}: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(
                f"{path} is no table: line {number} is no record but {line[:40].decode(errors='replace')!r}."
            )
        rows.append(row)
    return rows
