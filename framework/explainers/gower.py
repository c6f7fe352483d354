"""How far two rows are apart, column by column (Gower 1971)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Gower:
    """How far values are apart, from 0 to 1: numbers and dates by the range of most rows, all else same or not.

    spans: of each number or date the distance between its 1st and 99th hundredth.
    """

    spans: dict[str, float]

    @classmethod
    def learn(cls, pool: pd.DataFrame) -> "Gower":
        spans = {}
        for name in pool.columns:
            if (numbers := _numbers(pool[name])) is not None and np.isfinite(numbers).any():
                low, high = np.nanquantile(numbers, [0.01, 0.99])
                spans[str(name)] = float(high - low) or 1.0
        return cls(spans)

    def apart(self, row: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
        """Shape (others, columns). A gap is as far from a value as can be, and near another gap."""
        told = np.empty((len(others), others.shape[1]))
        for place, name in enumerate(others.columns):
            here, there = row[name].iloc[0], others[name]
            gaps = there.isna().to_numpy()
            if pd.isna(here):
                told[:, place] = ~gaps
            elif name in self.spans:
                numbers, mine = _numbers(there), _numbers(row[name])
                assert numbers is not None
                assert mine is not None
                told[:, place] = np.where(gaps, 1.0, np.minimum(1.0, np.abs(numbers - mine[0]) / self.spans[name]))
            else:
                told[:, place] = [not same(here, value) for value in there]
        return told


def _numbers(values: pd.Series) -> np.ndarray | None:
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype.kind not in "fiM":
        return None
    if values.dtype.kind == "M":
        numbers = values.to_numpy(dtype="datetime64[ns]").astype(np.int64).astype(np.float64)
        return np.where(values.isna(), np.nan, numbers)
    return values.to_numpy(dtype=np.float64)


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, gaps being alike."""
    return bool(pd.isna(a) and pd.isna(b)) or bool(a == b)
