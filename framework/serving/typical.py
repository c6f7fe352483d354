"""Rows like the training rows, composed of what a model folder keeps of each column."""

import numpy as np
import pandas as pd

from framework.data.column import Column
from framework.data.schema import Schema
from framework.monitoring.reference import Reference, Summary


def typical_rows(schema: Schema, reference: Reference, *, rows: int, seed: int = 0) -> pd.DataFrame:
    """Conformed rows in which every column has its training distribution, and none hangs together with another.

    Texts, of which only lengths are kept, and columns without a summary have their example in all rows.
    """
    random = np.random.default_rng(seed)
    drawn = {}
    for column in schema.columns:
        known, summary = reference.columns.get(column.name, (column, None))
        drawn[column.name] = random.permutation(_spread(known, summary, rows))
    return schema.conform(pd.DataFrame(drawn, dtype=object), strict=True)[0]


def _spread(column: Column, summary: Summary | None, rows: int) -> np.ndarray:
    """So many values at evenly spaced levels of the column's distribution, missing ones in their share."""
    values = np.full(rows, None, dtype=object)
    if summary is None or not (summary.quantiles or summary.counts) or column.kind == "text":
        values[:] = column.example
        return values
    missing = round(rows * summary.missing / max(1, summary.rows))
    levels = (np.arange(rows - missing) + 0.5) / max(1, rows - missing)
    if summary.counts:
        shares = np.cumsum(summary.counts) / max(1, sum(summary.counts))
        found = [column.categories[place] for place in np.searchsorted(shares, levels)]
    else:
        numbers = np.array(summary.quantiles)[(levels * len(summary.quantiles)).astype(int)]
        found = pd.to_datetime(numbers, unit="D").tolist() if column.kind == "date" else numbers.tolist()
    values[: rows - missing] = found
    return values
