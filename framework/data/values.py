"""Single values as the framework understands them: what is missing, a number, a date, a yes."""

import datetime
import decimal
import math
import re
import unicodedata
from typing import Any

import numpy as np
import pandas as pd

MARKERS = frozenset(
    (
        "", "na", "n/a", "n.a.", "#n/a", "#na", "nan", "-nan", "<na>", "nat", "null", "#null!", "(null)", "\\n", "none",
        "nil", "?", "-", "--", ".", "#div/0!", "#value!", "#ref!",
    )
)  # what people write, in lower case, where a value is missing  # fmt: skip
YES = frozenset(("yes", "y", "true", "t", "on"))
NO = frozenset(("no", "n", "false", "f", "off"))
ISO = "ISO8601"

_LONGEST_MARKER = max(map(len, MARKERS))
_NESTED = (list, tuple, dict, set, frozenset, np.ndarray)
_BINARY = (bytes, bytearray, memoryview)
_POINT = re.compile(
    r"[+-]?\d{1,3}(?:([,' \u00a0\u202f])\d{3})(?:\1\d{3})*(?:\.\d+)?|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
)
_COMMA = re.compile(r"[+-]?\d{1,3}(?:([.' \u00a0\u202f])\d{3})(?:\1\d{3})*(?:,\d+)?|[+-]?\d+(?:,\d*)?")
_DRESS = re.compile(r"^([+-]?)\s*[$€£¥₹]\s*|\s*[$€£¥₹%]$")


def is_missing(value: Any) -> bool:
    """None, NaN, NA, NaT, or a text that people write where a value is missing."""
    if isinstance(value, str):
        return value.strip().lower() in MARKERS
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def text_of(value: Any) -> str | None:
    """A value as the text of a category: stripped, whole numbers without a fraction (3.0 → "3"); None when missing.

    Raises ValueError for nested or binary values.
    """
    if isinstance(value, str):
        text = value.strip()
        if len(text) <= _LONGEST_MARKER and text.lower() in MARKERS:
            return None
        return text if text.isascii() else unicodedata.normalize("NFC", text)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, _NESTED + _BINARY):
        raise ValueError("nested or binary")
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating | decimal.Decimal):
        if math.isnan(value):
            return None
        return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value).strip()


def number_of(value: Any, comma: bool = False) -> float:
    """A value as a number; NaN when missing. Text may carry thousands separators, a currency sign or a per cent sign.

    comma: the fraction is written behind a comma (1.234,5).
    Raises ValueError when it is no number.
    """
    if isinstance(value, str):
        return _parse_number(value, comma)
    if isinstance(value, float | int | np.number | np.bool_ | decimal.Decimal):
        try:
            return float(value)
        except (OverflowError, TypeError) as error:
            raise ValueError("not a real number") from error
    if value is None or value is pd.NA or value is pd.NaT:
        return math.nan
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, np.timedelta64):
        return float("nan") if np.isnat(value) else value / np.timedelta64(1, "s")
    raise ValueError("not a number")


def boolean_of(value: Any) -> float:
    """1.0 for true, yes, on and 1; 0.0 for their opposites; NaN when missing. Raises ValueError for all else."""
    if isinstance(value, str):
        text = value.strip().lower()
        if text in YES:
            return 1.0
        if text in NO:
            return 0.0
    number = number_of(value)
    if number in (0.0, 1.0) or math.isnan(number):
        return number
    raise ValueError("neither true nor false")


def date_of(value: Any, written: str = "") -> np.datetime64:
    """A date or time as datetime64[ns], in UTC where it carries a zone; NaT when missing.

    written: how the column's texts are written, a strptime format; ISO 8601 is read always.
    A moment outside the years 1678 to 2261 is missing. Raises ValueError for a text that is none, and all else.
    """
    textual = isinstance(value, str)
    if isinstance(value, str):
        if is_missing(value):
            return np.datetime64("NaT", "ns")
        value = _parse_date(value.strip(), written)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if value is None or value is pd.NA or value is pd.NaT:
        return np.datetime64("NaT", "ns")
    if isinstance(value, np.datetime64 | pd.Period):
        value = pd.Timestamp(value) if isinstance(value, np.datetime64) else value.to_timestamp()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        if not 1678 <= value.year <= 2261:
            if textual:
                raise ValueError("outside the years 1678 to 2261")
            return np.datetime64("NaT", "ns")
        return (
            np.datetime64(value, "ns") if not isinstance(value, pd.Timestamp) else value.as_unit("ns").to_datetime64()
        )
    raise ValueError("not a date")


def _parse_number(text: str, comma: bool) -> float:
    if not comma:
        try:
            number = float(text)
        except ValueError:
            pass
        else:
            if "_" not in text:
                return number
    if is_missing(text):
        return math.nan
    bare = text.strip()
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    bare = _DRESS.sub(r"\1", _DRESS.sub(r"\1", bare))
    match = (_COMMA if comma else _POINT).fullmatch(bare)
    if match is None:
        raise ValueError("not a number")
    if match.group(1):
        bare = bare.replace(match.group(1), "")
    return float(bare.replace(",", ".") if comma else bare)


def _parse_date(text: str, written: str) -> datetime.datetime:
    if written and written != ISO:
        try:
            return datetime.datetime.strptime(text, written)
        except ValueError:
            pass
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return pd.to_datetime(text, format=ISO)
