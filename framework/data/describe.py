"""What a column of raw values is: a number, a yes or no, a date, a category or text; or no feature at all."""

import datetime
import decimal
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import distinct, present
from framework.data.column import Column, SchemaError
from framework.data.dates import dated, written_dates
from framework.data.ids import names_rows, numbers_rows
from framework.data.values import NO, YES, number_of, text_of

MOST_CATEGORIES = 100  # more distinct texts than this are text

_CODED = re.compile(r"[+-]?0\d+")  # 007 is a code, not the number 7


def describe(name: str, values: np.ndarray, *, kept: bool = False, labels: bool = False) -> Column | str:
    """The column that these raw values make, or a sentence that says why it is no feature.

    values: a plain array (`arrays.plain`), shape (rows,).
    kept: never left out, whatever its values. labels: a category whatever its values (series, silos).
    Raises SchemaError for nested or binary values.
    """
    column = _of_labels(name, values) if labels else _of_objects(name, values) if values.dtype.kind == "O" else None
    if column is None:
        column = _of_plain(name, values)
    if kept:
        return column
    return _reason_to_leave_out(column, values) or column


def _of_plain(name: str, values: np.ndarray) -> Column:
    kind = values.dtype.kind
    if kind == "b":
        return Column(name, "boolean", example=bool(values[0]) if len(values) else None)
    if kind == "M":
        there = values[~np.isnat(values)]
        example = pd.Timestamp(there[0]).isoformat() if len(there) else None
        return Column(name, "date", missing=len(there) < len(values), example=example)
    if kind not in "fiu":
        raise SchemaError(f"column {name!r} holds {values.dtype} values; a feature is a number, a date or a text.")
    missing = kind == "f" and bool(np.isnan(values).any())
    whole = kind != "f" or _whole(values)
    return Column(name, "number", whole=whole, missing=missing, example=_middle(values, whole))


def _of_objects(name: str, values: np.ndarray) -> Column:
    codes, uniques = _distinct(name, values)
    texts = [text_of(value) for value in uniques]
    there = [(value, text) for value, text in zip(uniques, texts, strict=True) if text is not None]
    counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
    rows = int(sum(count for count, text in zip(counts, texts, strict=True) if text is not None))
    missing = rows < len(values)
    types = {type(value) for value, _ in there}
    if types and types <= {bool, np.bool_}:
        return Column(name, "boolean", missing=missing, example=bool(there[0][0]))
    if types and all(issubclass(t, datetime.date | np.datetime64) for t in types):
        example = pd.Timestamp(there[0][0]).isoformat() if not isinstance(there[0][0], datetime.date) else None
        return Column(name, "date", missing=missing, example=example or there[0][0].isoformat())
    numeric = (int, float, decimal.Decimal, np.number, bool, datetime.timedelta, np.timedelta64)
    if types and all(issubclass(t, numeric) for t in types):
        return _of_numbers(name, [number_of(value) for value, _ in there], missing, "")
    kept = np.array([count for count, text in zip(counts, texts, strict=True) if text is not None])
    return _of_texts(name, [text for _, text in there], kept, missing, _commonest(counts, texts))


def _of_texts(name: str, texts: Sequence[str], counts: np.ndarray, missing: bool, commonest: str | None) -> Column:
    lowered = {text.lower() for text in texts}
    if len(lowered) == 2 and len(lowered & YES) == 1 and len(lowered & NO) == 1:
        return Column(name, "boolean", missing=missing, example=True)
    if not any(map(_CODED.fullmatch, texts)):
        for point in ("", ","):
            if (numbers := _numbers(texts, comma=bool(point))) is not None:
                return _of_numbers(name, numbers, missing, point)
    if (written := written_dates(texts, counts)) is not None:
        dates = dated(texts, written)
        loose, example = not dates.all(), texts[int(dates.argmax())]
        return Column(name, "date", missing=missing or loose, example=example, written=written, loose=loose)
    if len(set(texts)) <= MOST_CATEGORIES and 2 * len(set(texts)) <= counts.sum():
        return Column(name, "category", tuple(sorted(set(texts))), missing=missing, example=commonest)
    return Column(name, "text", missing=missing, example=texts[0] if texts else None)


def _of_numbers(name: str, numbers: Sequence[float], missing: bool, written: str) -> Column:
    array = np.asarray(numbers, dtype=np.float64)
    whole = _whole(array)
    return Column(name, "number", whole=whole, missing=missing, example=_middle(array, whole), written=written)


def _of_labels(name: str, values: np.ndarray) -> Column:
    codes, uniques = _distinct(name, values)
    texts = [text_of(value) for value in uniques]
    counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
    labels = tuple(sorted({text for text in texts if text is not None}))
    missing = bool((codes < 0).any()) or None in texts
    return Column(name, "category", labels, missing=missing, example=_commonest(counts, texts))


def _distinct(name: str, values: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    try:
        codes, uniques = distinct(values)
        for value in uniques:
            text_of(value)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"column {name!r} holds nested or binary values; a table has one number, date or text a cell. "
            f"Unfold the column, or list it in `ignored`."
        ) from error
    return codes, uniques


def _numbers(texts: Sequence[str], *, comma: bool) -> list[float] | None:
    try:
        return [number_of(text, comma) for text in texts] or None
    except ValueError:
        return None


def _reason_to_leave_out(column: Column, values: np.ndarray) -> str | None:
    """Why a column is no feature: nothing in it, the same everywhere, or a name for the row."""
    there = present(values)
    if not there.any():
        return "has no value in any row"
    if there.all() and _constant(values):
        return f"is {text_of(values[0])!r} in every row"
    if column.kind == "number" and column.whole and numbers_rows(column.name, values, there):
        return "tells the rows apart, as an id does"
    if column.kind == "text" and names_rows(values, there):
        return "tells the rows apart, as an id does"
    return None


def _constant(values: np.ndarray) -> bool:
    if values.dtype.kind == "O":
        return len({text_of(value) for value in pd.unique(values)}) == 1
    return bool((values == values[0]).all())


def _whole(values: np.ndarray) -> bool:
    there = values[np.isfinite(values)]
    return bool((there == np.floor(there)).all())


def _middle(values: np.ndarray, whole: bool) -> int | float | None:
    """A typical value that really occurs."""
    sample = values[:: max(1, len(values) // 1000)]
    there = np.sort(sample[np.isfinite(sample)])
    if not len(there):
        return None
    value = there[len(there) // 2].item()
    return int(value) if whole else float(value)


def _commonest(counts: np.ndarray, texts: Sequence[str | None]) -> str | None:
    present_counts = [(count, text) for count, text in zip(counts, texts, strict=True) if text is not None]
    return max(present_counts, key=lambda pair: pair[0])[1] if present_counts else None
