"""A column of few distinct values as places: a token for each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.data.data_error import nearest
from synthetic.condition_error import ConditionError
from synthetic.typed import array_of, as_type, missing_token


@dataclass(frozen=True)
class Categories:
    """A column of few distinct values: texts, truth values, or numbers that a Categorical holds.

    values: those that were seen, a token each. dtype: the column's, by pandas' name; levels, ordered: a Categorical's.
    """

    name: str
    dtype: str
    values: tuple[Any, ...]
    missing: bool = False
    levels: tuple[Any, ...] = ()
    ordered: bool = False
    ranked = False  # whether tokens follow one another as values do

    @property
    def card(self) -> int:
        return len(self.values) + self.missing

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(np.array([*self.values, None], dtype=object)[:-1], dtype=object)

    def encode(self, column: pd.Series) -> np.ndarray:
        """Places, shape (rows,); an unknown value counts as missing where there are such, else as the first."""
        codes = self._index.get_indexer(pd.Index(plain(column).astype(object), dtype=object))
        return np.where(codes < 0, len(self.values) if self.missing else 0, codes) + 0.5

    def known(self, column: pd.Series) -> np.ndarray:
        """Which values are there and were seen, shape (rows,), bool."""
        return np.asarray(self._index.get_indexer(pd.Index(plain(column).astype(object), dtype=object)) >= 0)

    @cached_property
    def _each(self) -> Any:
        """Every token's value, and last that of a missing one, where there are such."""
        values = np.array([*self.values, None], dtype=object)[: max(1, self.card)]
        if self.dtype == "category":
            return pd.Categorical(values, categories=list(self.levels), ordered=self.ordered)
        return values if self.dtype == "object" else array_of(as_type(pd.Series(values, dtype=object), self.dtype))

    def array(self, places: np.ndarray) -> Any:
        """The values at places, shape (rows,), as an array of the column's own type."""
        return self._each.take(places.astype(np.int64))

    def decode(self, places: np.ndarray) -> pd.Series:
        array = self.array(places)
        return pd.Series(array, name=self.name, dtype=array.dtype, copy=False)

    def read(self, asked: Any) -> tuple[int, Any]:
        """The token of a value that is asked for, and the value; texts are taken as a command line has them.

        Raises ConditionError for one that was never seen.
        """
        if asked is None or (isinstance(asked, float) and np.isnan(asked)):
            return missing_token(self.name, self.missing, len(self.values))
        for token, value in enumerate(self.values):
            if value == asked or str(value) == str(asked):
                return token, value
        hint = nearest(str(asked), map(str, self.values), what="values")
        raise ConditionError(f"column {self.name!r} never had the value {asked!r} in the rows learned from. {hint}")

    def to_json(self) -> dict[str, Any]:
        kept = {"values": list(self.values), "levels": list(self.levels)}
        return {"kind": "categories", "name": self.name, "dtype": self.dtype, "missing": self.missing,
                "ordered": self.ordered, **kept}  # fmt: skip
