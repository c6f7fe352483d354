"""The body of a prediction request as rows, or one sentence on why it is none."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import numpy as np
import orjson
import pandas as pd

from cluster.user_error import UserError

MOST_ROWS = 10_000
MOST_BYTES = 10 * 2**20
MOST_COLUMNS = 10_000
LONGEST_NAME = 1_000  # letters of a column's name

Row = dict[str, Any]


class RequestError(UserError):
    """A request that cannot be answered. status: the HTTP status that says so. retry_after: seconds until it may be."""

    def __init__(self, sentence: str, *, status: int = 400, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


class BodyTooLargeError(RequestError):
    """A body over the limit, most of it unread."""

    def __init__(self, found: str, most: int) -> None:
        way_out = "Split the rows, or score files with recipes.predict."
        super().__init__(f"the body is {found}; at most {most:,} bytes are taken. {way_out}", status=413)


def reason(error: Exception) -> str:
    """A library's error in one line: its class and the first line of what it says, without a stack trace."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said[:300]}"


async def read_body(chunks: AsyncIterator[bytes], *, declared: str | None, most: int = MOST_BYTES) -> bytes:
    """The whole body. A longer one is refused before it is read where its length is declared, else on the way.

    declared: the Content-Length header. Raises BodyTooLargeError for more than `most` bytes.
    """
    if declared is not None and declared.isdigit() and int(declared) > most:
        raise BodyTooLargeError(f"{int(declared):,} bytes", most)
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise BodyTooLargeError("longer", most)
    return bytes(body)


def parse_rows(body: bytes, *, most: int = MOST_ROWS) -> list[Row]:
    """One row as a JSON object, many as a list of objects, or `{"rows": [...]}`; all rows have the same columns.

    Raises RequestError naming the first thing that is wrong and the row it stands in, counted from 1.
    """
    return rows_of(parse_json(body, way_out="Send one row as an object, or a list of rows."), most=most)


def parse_json(body: bytes, *, way_out: str) -> Any:
    """The body's content. way_out: what to send instead. Raises RequestError for what is no JSON, or nests too deeply:
    orjson stops at 1,024 levels."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}. {way_out}") from error


def rows_of(content: Any, *, most: int = MOST_ROWS) -> list[Row]:
    """The rows that a body's content says, as `parse_rows` has them."""
    if isinstance(content, dict):
        content = content["rows"] if len(content) == 1 and isinstance(content.get("rows"), list) else [content]
    if not isinstance(content, list):
        raise RequestError(f"the body is {_kind(content)}. Send one row as an object, or many as a list of objects.")
    if not content:
        raise RequestError("the list of rows is empty. Send at least one row.")
    if len(content) > most:
        raise RequestError(f"{len(content):,} rows in one request; at most {most:,} are taken. Split them.", status=413)
    check_rows(content)
    return content


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows of the same columns as a frame, shape (rows, columns), every value as it came."""
    names = list(rows[0])
    values = np.empty((len(rows), len(names)), dtype=object)
    for place, row in enumerate(rows):
        values[place] = [row[name] for name in names]
    return pd.DataFrame(values, columns=pd.Index(names, dtype=object), dtype=object, copy=False)


def check_rows(rows: list[Any]) -> None:
    """Raises RequestError unless these are rows of the same columns, each value a single one."""
    first = rows[0].keys() if isinstance(rows[0], dict) else {}.keys()
    check_names(first)
    for place, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise RequestError(f"row {place} is {_kind(row)}. A row is an object of column: value.")
        if row.keys() != first:
            differing = sorted(row.keys() ^ first)[0]
            has, lacks = (1, place) if differing in first else (place, 1)
            raise RequestError(
                f"the rows have different columns: row {has} has {differing!r}, row {lacks} has not. "
                "Give every row the same columns; null is a missing value."
            )
        for column, value in row.items():
            if isinstance(value, dict | list):
                raise RequestError(
                    f"column {column!r} of row {place} holds {_kind(value)}; "
                    "a value is a number, a text, true, false or null."
                )


def check_names(names: Collection[str]) -> None:
    """Raises RequestError for more columns, or longer names, than any table has."""
    if len(names) > MOST_COLUMNS:
        raise RequestError(f"{len(names):,} columns; at most {MOST_COLUMNS:,} are taken.", status=413)
    longest = max(names, key=len, default="")
    if len(longest) > LONGEST_NAME:
        raise RequestError(
            f"column {longest[:40]!r}… has a name of {len(longest):,} letters; at most {LONGEST_NAME:,} are taken.",
            status=413,
        )


def shown(value: Any) -> str:
    """A value of a body inside a sentence; of what nests, or is long, what it is: its text might have no end."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict | list) for each in value)):
        return _kind(value)
    return repr(value[:8] if isinstance(value, list) else value)[:60]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
