"""Rows from delimited text, read so that nothing is lost: codes keep their zeros, odd numbers stay text."""

import csv
import io
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from framework.data.data_error import DataError
from framework.data.names import distinct_names
from framework.data.values import MARKERS

_SAMPLE_BYTES = 1 << 20
_SAMPLE_ROWS = 20_000
_KEPT_AS_TEXT = re.compile(r"\s*[+-]?0\d+\s*|\s*\d{1,2}:\d{2}(?::\d{2}.*)?")  # 007 and 05:30 are no numbers
_MARKERS = sorted({form for marker in MARKERS for form in (marker, marker.upper(), marker.title())} | {"NaN", "NaT"})


@dataclass(frozen=True)
class _Layout:
    """How a delimited text is laid out. lines: those of the header. kept: columns that stay text."""

    name: str
    columns: list[str]
    lines: int
    delimiter: str
    encoding: str
    quoted: bool
    kept: tuple[str, ...]


def read_delimited(
    opened: Callable[[], Any], name: str, delimiter: str | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a delimited text and the reader's remarks.

    opened: opens the bytes anew. delimiter: None looks for `,` `;` tab or `|` in the header.
    Text that is neither UTF-8 nor UTF-16 is read as Windows-1252, with a remark.
    Raises DataError: empty, header only, binary, or a row with more or fewer fields than the header.
    """
    with opened() as stream:
        sample = stream.read(_SAMPLE_BYTES)
    encoding = encoding_of(sample, name)
    text = sample.decode(encoding, errors="ignore")
    if not text.strip("\ufeff \r\n\t"):
        raise DataError(f"{name} is empty: it has no header and no row.")
    delimiter = delimiter or delimiter_of(text)
    whole = len(sample) < _SAMPLE_BYTES
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = next(row for row in rows if any(field.strip("\ufeff ") for field in row))
        rows_before = rows.line_num
        head = list(itertools.islice((row for row in rows if row), _SAMPLE_ROWS))
    except csv.Error as error:
        raise DataError(f"{name} cannot be read as a table: {error}.") from error
    if not head and whole:
        raise DataError(f"{name} has a header and no row: {', '.join(header[:6])}. A table needs rows to learn from.")
    columns, remarks = distinct_names(header)
    whole_rows = head if whole else head[:-1]
    kept = tuple(name for place, name in enumerate(columns) if any(_is_kept(row, place) for row in whole_rows))
    layout = _Layout(name, columns, rows_before, delimiter, encoding, quoted='"' in text, kept=kept)
    frame = _read(opened, layout)
    if frame is None:  # the sample was UTF-8, a later row is not
        layout = replace(layout, encoding="cp1252")
        frame = _read(opened, layout)
    if frame is None:
        raise DataError(f"{name} is binary, not a text table.")
    if layout.encoding == "cp1252":
        remarks.append("the text is not UTF-8 and was read as Windows-1252; save it as UTF-8 if letters look wrong")
    return frame, remarks


def encoding_of(sample: bytes, name: str) -> str:
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\x00" in sample:
        raise DataError(f"{name} is binary, not a text table: it holds zero bytes. Pass a file of rows and columns.")
    try:
        sample[: sample.rfind(b"\n") + 1 or None].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def delimiter_of(text: str) -> str:
    header = re.sub(r'"[^"]*"', "", text.lstrip("\ufeff\r\n").split("\n", 1)[0])
    return max(",;\t|", key=header.count)


def _is_kept(row: list[str], place: int) -> bool:
    return place < len(row) and _KEPT_AS_TEXT.fullmatch(row[place]) is not None


def _read(opened: Callable[[], Any], layout: _Layout) -> pd.DataFrame | None:
    """None: there are bytes in it that are no UTF-8."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with opened() as stream:
            table = arrow_csv.read_csv(
                stream,
                read_options=arrow_csv.ReadOptions(
                    column_names=layout.columns, skip_rows=layout.lines, encoding=layout.encoding
                ),
                parse_options=arrow_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=layout.quoted),
                convert_options=arrow_csv.ConvertOptions(
                    null_values=_MARKERS,
                    strings_can_be_null=True,
                    true_values=["true", "True", "TRUE"],
                    false_values=["false", "False", "FALSE"],
                    column_types=dict.fromkeys(layout.kept, pa.string()),
                ),
            )
    except pa.ArrowInvalid as error:
        if not layout.quoted:
            return _read(opened, replace(layout, quoted=True))
        if "UTF8" in str(error):
            return None
        raise DataError(told(layout.name, str(error), len(layout.columns))) from error
    times = tuple(field.name for field in table.schema if pa.types.is_time(field.type))
    if times:
        return _read(opened, replace(layout, kept=layout.kept + times))
    if any(pa.types.is_binary(field.type) for field in table.schema):
        return None
    frame: pd.DataFrame = table.to_pandas(date_as_object=False, self_destruct=True)
    return frame


def told(name: str, message: str, fields: int) -> str:
    ragged = re.search(r"(?:Row #(\d+): )?Expected \d+ columns, got (\d+): ?(.*)", message, re.DOTALL)
    if ragged is None:
        return f"{name} cannot be read as a table: {message.splitlines()[0]}."
    place = f"row {ragged[1]}" if ragged[1] else "a row"
    row = ragged[3].splitlines()[0][:60] if ragged[3] else ""
    return f"{name} is no clean table: {place} has {ragged[2]} fields where the header has {fields}: {row!r}. Mend it."
