"""What codecs of every kind need: dates as numbers, a column as its dtype, the token of a missing value."""

from typing import Any

import numpy as np
import pandas as pd

from synthetic.condition_error import ConditionError


def dates_as_numbers(values: np.ndarray, unit: int, written: str) -> np.ndarray:
    """Dates in units of so many nanoseconds since 1970, float64; nan where one is missing."""
    if values.dtype.kind != "M":
        form: Any = {"format": written} if written else {}
        parsed = pd.to_datetime(pd.Series(values, dtype=object), errors="coerce", utc=True, **form)
        values = parsed.dt.tz_localize(None).to_numpy()
    nanoseconds = values.astype("datetime64[ns]").astype(np.int64)
    return np.where(np.isnat(values), np.nan, nanoseconds / unit)


def as_type(column: pd.Series, dtype: Any) -> pd.Series:
    """The column as pandas' dtype of this name."""
    made: pd.Series = column.astype(dtype)
    return made


def array_of(column: pd.Series) -> Any:
    """What a column holds, without its index: numpy's array where it is one, else pandas' own."""
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def missing_token(name: str, missing: bool, token: int) -> tuple[int, None]:
    """The token of a column's missing value. Raises ConditionError where none was ever missing."""
    if not missing:
        raise ConditionError(f"column {name!r} was never missing in the rows learned from.")
    return token, None
