"""Rows as H2O takes them: a Parquet file with a type for every column, and the same matrix for its MOJO."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framework.contenders.native import Native, codes_of
from framework.data.frame import Fold, Frame, Rows

ANSWER, WEIGHT, PART = "y", "weight", "part"


@dataclass(frozen=True)
class Parts:
    """Which of H2O's cross-validation folds a row belongs to.

    A group stands in one of them whole. Rows of a past and a future are cut into stretches of time: neighbours in
    time, which resemble each other, mostly stay together. Else there are none, and H2O draws them.
    """

    count: int
    time: str | None = None
    bounds: np.ndarray | None = None

    @classmethod
    def plan(cls, fold: Fold, count: int) -> "Parts | None":
        if fold.train.group is not None:
            groups = len(np.unique(fold.train.group))
            return cls(min(count, groups)) if groups > 1 else None
        time = fold.problem.time
        if time is None or time not in fold.train.X:
            return None
        bounds = np.unique(np.nanquantile(moments(fold.train.X[time]), np.arange(1, count) / count))
        return cls(len(bounds) + 1, time, bounds) if len(bounds) else None

    def of(self, rows: Frame) -> np.ndarray:
        """Shape (rows,), each a part from 0."""
        if self.time is not None and self.bounds is not None:
            return np.searchsorted(self.bounds, moments(rows.X[self.time]))
        assert rows.group is not None
        return np.asarray(rows.group % self.count)


def write(rows: Rows, path: Path, *, native: Native, labelled: bool, parts: Parts | None) -> dict[str, str]:
    """Writes a Parquet file block by block; column → H2O's type of it.

    labelled: the answers are classes.
    """
    import pyarrow.parquet as pq

    kinds: dict[str, str] = {}
    writer = None
    try:
        for block in rows.blocks():
            table, kinds = _table(block, native=native, labelled=labelled, parts=parts)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    return kinds


def label(code: int) -> str:
    """A category's or class's name over there: in the order of the codes, whatever it is called here."""
    return f"c{code:09d}"


def code(told: str) -> int:
    return int(told[1:])


def names(native: Native) -> list[str]:
    return [f"x{place}" for place in range(native.width)]


def moments(column: pd.Series) -> np.ndarray:
    """A time column as float64, nan where it is missing."""
    if pd.api.types.is_datetime64_any_dtype(column):
        days = (pd.DatetimeIndex(column) - pd.Timestamp(0)) / pd.Timedelta(days=1)
        return np.asarray(days.to_numpy(dtype=np.float64))
    if isinstance(column.dtype, pd.CategoricalDtype):
        return codes_of(column, column.cat.categories).astype(np.float64)
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64))


def _table(rows: Frame, *, native: Native, labelled: bool, parts: Parts | None) -> tuple[Any, dict[str, str]]:
    import pyarrow as pa

    matrix = native.matrix(rows.X)
    columns: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for place, (name, coded) in enumerate(zip(names(native), native.categorical, strict=True)):
        values = matrix[:, place]
        columns[name] = _labels(values) if coded else pa.array(values, from_pandas=True)
        kinds[name] = "Enum" if coded else "Numeric"
    columns[ANSWER] = _labels(rows.y) if labelled else pa.array(rows.y.astype(np.float64))
    kinds[ANSWER] = "Enum" if labelled else "Numeric"
    if rows.weight is not None:
        columns[WEIGHT], kinds[WEIGHT] = pa.array(rows.weight.astype(np.float64)), "Numeric"
    if parts is not None:
        columns[PART], kinds[PART] = pa.array(parts.of(rows).astype(np.float64)), "Numeric"
    return pa.table(columns), kinds


def _labels(codes: np.ndarray) -> Any:
    """Text, null where the code is nan."""
    import pyarrow as pa

    gaps = np.isnan(codes) if codes.dtype.kind == "f" else np.zeros(len(codes), dtype=bool)
    whole = np.where(gaps, 0, codes).astype(np.int64)
    known, places = np.unique(whole, return_inverse=True)
    words = pa.array([label(each) for each in known])
    return words.take(pa.array(places, mask=gaps))
