"""A whole table as places, a column of them for each of its own, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from framework.data.data_error import DataError, nearest
from synthetic.codec import Codec, codec_from_json
from synthetic.columns import learn_codecs
from synthetic.condition_error import ConditionError


@dataclass(frozen=True)
class TableCodec:
    """The codecs of a table's columns, in their order."""

    codecs: tuple[Codec, ...]

    @classmethod
    def learn(cls, frame: pd.DataFrame) -> "TableCodec":
        """Raises ColumnError and DataError, as `columns.learn_codecs`."""
        return cls(learn_codecs(frame))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(codec.name for codec in self.codecs)

    def __getitem__(self, name: str) -> Codec:
        return self.codecs[self.names.index(name)]

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        """Places, float64, shape (rows, columns). Raises DataError for a column that is not there."""
        self._check(frame)
        return np.stack([codec.encode(frame[codec.name]) for codec in self.codecs], axis=1)

    def known(self, frame: pd.DataFrame) -> np.ndarray:
        """Which cells hold a value that was seen, shape (rows, columns), bool."""
        self._check(frame)
        return np.stack([codec.known(frame[codec.name]) for codec in self.codecs], axis=1)

    def decode(self, places: np.ndarray) -> pd.DataFrame:
        """The table at places, shape (rows, columns): dtypes and order as they were learned."""
        # Arrays, not columns: pandas makes a table of them in a sixth of the time.
        arrays = {codec.name: codec.array(places[:, at]) for at, codec in enumerate(self.codecs)}
        return pd.DataFrame(arrays, index=pd.RangeIndex(len(places)), copy=False)

    def read(self, conditions: Mapping[str, Any]) -> dict[int, tuple[int, Any]]:
        """Column's place → the token and the value that are asked for.

        Raises ConditionError for a column or a value that was never seen.
        """
        told = {}
        for name, value in conditions.items():
            if name not in self.names:
                hint = nearest(name, self.names, what="columns")
                raise ConditionError(f"a condition names column {name!r}, which is not in the table. {hint}")
            at = self.names.index(name)
            told[at] = self.codecs[at].read(value)
        return told

    def to_json(self) -> list[dict[str, Any]]:
        return [codec.to_json() for codec in self.codecs]

    @classmethod
    def from_json(cls, told: Sequence[dict[str, Any]]) -> "TableCodec":
        return cls(tuple(codec_from_json(each) for each in told))

    def _check(self, frame: pd.DataFrame) -> None:
        if lacking := [name for name in self.names if name not in frame.columns]:
            hint = nearest(lacking[0], map(str, frame.columns), what="columns")
            raise DataError(f"the table has no column {lacking[0]!r}, which was learned from. {hint}")
