"""Which codec each column of a table needs, and which columns no synthesizer should be given."""

from typing import Any

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.data.arrays import plain
from framework.data.column import Column
from framework.data.data_error import DataError
from framework.data.describe import describe
from synthetic.codec import Categories, Codec, learn_numbers
from synthetic.typed import dates_as_numbers

LEAST_ROWS = 20
MOST_CATEGORIES = 1_000
ROWS_A_CATEGORY = 5  # on average, where there are more than a hundred
DAY, SECOND = 86_400 * 10**9, 10**9  # in nanoseconds
IDS = "tells the rows apart"


class ColumnError(UserError):
    """A column that synthetic rows cannot have, with what to do about it."""


def learn_codecs(frame: pd.DataFrame) -> tuple[Codec, ...]:
    """A codec for each column, in their order.

    Raises ColumnError for ids, free text and nested values, naming the column; DataError for too few rows.
    """
    if len(frame) < LEAST_ROWS:
        raise DataError(
            f"the table has {len(frame)} row{'s'[: len(frame) != 1]}; at least {LEAST_ROWS} are needed to learn from."
        )
    names = frame.columns.tolist()
    if not names:
        raise DataError("the table has no column.")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ColumnError(f"column {twice[0]!r} is there twice; every column has a name of its own.")
    return tuple(learn_codec(str(name), frame.iloc[:, place]) for place, name in enumerate(names))


def learn_codec(name: str, column: pd.Series) -> Codec:
    """The codec of one column of a table; texts of many distinct numbers are numbers. Raises ColumnError, as
    `learn_codecs`."""
    dtype: Any = column.dtype
    values = plain(column)
    if isinstance(dtype, pd.CategoricalDtype):
        levels = tuple(_json(value) for value in dtype.categories.tolist())
        return _categories(name, "category", values, levels=levels, ordered=bool(dtype.ordered))
    found = describe(name, values)
    if isinstance(found, str):
        if found.startswith(IDS):
            raise ColumnError(
                f"column {name!r} tells the rows apart, as an id does: it would be copied, or made up. Leave it out "
                f"(--without {name}) and number the synthetic rows anew."
            )
        return _constant(name, str(dtype), values)
    if found.kind == "date":
        return _dates(name, str(dtype), values, found)
    if values.dtype.kind == "b" or (found.kind in ("boolean", "category") and values.dtype.kind == "O"):
        return _categories(name, str(dtype), values)
    if found.kind == "text":
        return _texts(name, str(dtype), values)
    numbers = _numbers(values, found)
    if values.dtype.kind == "O" and _few_texts(values):
        return _categories(name, str(dtype), values)
    if values.dtype.kind == "O" and str(dtype) in ("object", "string", "str"):
        whole = found.whole and not np.isnan(numbers).any()
        return learn_numbers(name, "int64" if whole else "float64", numbers)
    if np.isinf(numbers).any():
        raise ColumnError(f"column {name!r} holds an infinite value; numbers must be finite. Mend the row.")
    return learn_numbers(name, str(dtype), numbers)


def _few_texts(values: np.ndarray) -> bool:
    """Whether these are texts, and few enough to be categories: postcodes, not amounts."""
    texts = pd.Series(values).dropna()
    distinct = int(texts.nunique())
    return (
        bool(all(isinstance(text, str) for text in texts))
        and distinct <= MOST_CATEGORIES
        and ROWS_A_CATEGORY * distinct <= len(texts)
    )


def _constant(name: str, dtype: str, values: np.ndarray) -> Codec:
    """Of a column without a value, or with one alone."""
    if values.dtype.kind in "fiu":
        return learn_numbers(name, dtype, values.astype(np.float64))
    if values.dtype.kind == "M":
        return learn_numbers(name, dtype, dates_as_numbers(values, SECOND, ""), unit=SECOND)
    return _categories(name, dtype, values)


def _categories(
    name: str, dtype: str, values: np.ndarray, *, levels: tuple[Any, ...] = (), ordered: bool = False
) -> Categories:
    objects = pd.Series(values.astype(object))
    there = objects[objects.notna()]
    kept = tuple(_json(value) for value in sorted(pd.unique(there), key=lambda value: (str(type(value)), value)))
    if len(kept) > MOST_CATEGORIES:
        raise _too_many(name, len(kept))
    return Categories(name, dtype, kept, len(there) < len(objects), levels, ordered)


def _texts(name: str, dtype: str, values: np.ndarray) -> Categories:
    objects = pd.Series(values.astype(object))
    distinct = int(objects.nunique())
    if distinct > MOST_CATEGORIES or ROWS_A_CATEGORY * distinct > int(objects.notna().sum()):
        raise _too_many(name, distinct)
    return _categories(name, dtype, values)


def _too_many(name: str, distinct: int) -> ColumnError:
    return ColumnError(
        f"column {name!r} holds {distinct:,} distinct texts: free text, or categories too rare to be learned (at most "
        f"{MOST_CATEGORIES:,}, each {ROWS_A_CATEGORY} times on average). Leave it out (--without {name}), or group "
        f"its rare values first."
    )


def _dates(name: str, dtype: str, values: np.ndarray, found: Column) -> Codec:
    numbers = dates_as_numbers(values, SECOND, found.written)
    there = numbers[~np.isnan(numbers)]
    unit = DAY if len(there) and bool((there * SECOND % DAY == 0).all()) else SECOND
    texts = values.dtype.kind == "O" and bool(found.written)
    kept = dtype if values.dtype.kind == "M" or texts else "datetime64[ns]"
    numbers = dates_as_numbers(values, unit, found.written)
    if not texts:
        return learn_numbers(name, kept, numbers, unit=unit)
    shown = found.written
    if shown == "ISO8601":
        shown = "%Y-%m-%d" if unit == DAY else f"%Y-%m-%d{'T' if 'T' in str(found.example) else ' '}%H:%M:%S"
    return learn_numbers(name, kept, numbers, unit=unit, written=found.written, shown=shown)


def _numbers(values: np.ndarray, found: Column) -> np.ndarray:
    if values.dtype.kind != "O":
        return values.astype(np.float64)
    return np.asarray(found.take(values, []), dtype=np.float64)


def _json(value: Any) -> Any:
    """A numpy scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def settled(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with texts that all are numbers read as numbers, as a CSV file has them; all else as it is."""
    made = {}
    for name in frame.columns:
        values = plain(frame[name])
        found = describe(str(name), values, kept=True) if values.dtype.kind == "O" else None
        made[name] = frame[name]
        if isinstance(found, Column) and found.kind == "number" and frame[name].dtype == object:
            numbers = _numbers(values, found)
            whole = found.whole and not np.isnan(numbers).any()
            made[name] = pd.Series(numbers.astype(np.int64) if whole else numbers, index=frame.index, name=name)
    return pd.DataFrame(made, index=frame.index)
