"""Columns of any dtype as plain numpy arrays."""

from typing import Any

import numpy as np
import pandas as pd

from framework.data.values import is_missing

_SECONDS_FROM, _SECONDS_TO = -9_223_372_036, 9_223_372_036  # what datetime64[ns] holds: the years 1677 to 2262


def plain(column: pd.Series) -> np.ndarray:
    """A column of any dtype as a plain numpy array, shape (rows,): float, int, bool, datetime64[ns] or object.

    Zones are turned into UTC, time spans into seconds, nullable integers with gaps into float64. No copy where
    the column is plain already.
    """
    values: np.ndarray = _plain(column)
    return values


def distinct(values: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Codes (-1: missing) and the distinct present values of an object array. Raises TypeError for nested values."""
    codes, uniques = pd.factorize(values)
    return codes, list(uniques)


def present(values: np.ndarray) -> np.ndarray:
    """Which values are there, shape (rows,), bool: texts that mark a missing value are not."""
    if values.dtype.kind == "O":
        codes, uniques = distinct(values)
        there = np.array([not is_missing(value) for value in uniques] + [False])
        return np.asarray(there[codes])
    if values.dtype.kind not in "fM":
        return np.ones(len(values), dtype=bool)
    return np.asarray(~(np.isnan(values) if values.dtype.kind == "f" else np.isnat(values)))


def _plain(column: pd.Series) -> Any:
    dtype: Any = column.dtype
    if isinstance(dtype, np.dtype):
        values = column.to_numpy()
        if dtype.kind == "M":
            return _as_nanoseconds(values)
        if dtype.kind == "m":
            return np.asarray(column.dt.total_seconds(), dtype=np.float64)
        return values
    if isinstance(dtype, pd.ArrowDtype):
        return _plain_arrow(column)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _as_nanoseconds(column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    if isinstance(dtype, pd.PeriodDtype):
        return _as_nanoseconds(column.dt.to_timestamp().to_numpy())
    if isinstance(dtype, pd.CategoricalDtype):
        categories = np.append(plain(pd.Series(dtype.categories)).astype(object), [None])
        return np.asarray(categories[column.cat.codes.to_numpy()])
    if isinstance(dtype, pd.SparseDtype):
        return np.asarray(column)
    if pd.api.types.is_bool_dtype(dtype):
        return column.to_numpy(dtype=object if column.isna().any() else bool)
    if pd.api.types.is_integer_dtype(dtype) and not column.isna().any():
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_numeric_dtype(dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=object)


def _plain_arrow(column: Any) -> Any:
    import pyarrow as pa

    kind = column.dtype.pyarrow_dtype
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        moments = column.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else column
        return _as_nanoseconds(moments.astype("datetime64[us]").to_numpy())
    if pa.types.is_duration(kind):
        return np.asarray(column.astype("timedelta64[ns]").dt.total_seconds(), dtype=np.float64)
    if pa.types.is_boolean(kind):
        return column.to_numpy(dtype=object, na_value=None) if column.isna().any() else column.to_numpy(dtype=bool)
    if pa.types.is_integer(kind) and not column.isna().any():
        return column.to_numpy(dtype=np.int64)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.astype("float64[pyarrow]").to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=object, na_value=None)


def _as_nanoseconds(values: np.ndarray) -> np.ndarray:
    """datetime64 of any unit as datetime64[ns]; what ns cannot hold becomes NaT instead of wrapping round."""
    if values.dtype == np.dtype("datetime64[ns]"):
        return values
    seconds = values.astype("datetime64[s]").astype(np.int64)
    outside = ((seconds <= _SECONDS_FROM) | (seconds >= _SECONDS_TO)) & ~np.isnat(values)
    return np.where(outside | np.isnat(values), np.datetime64("NaT", "ns"), values.astype("datetime64[ns]"))
