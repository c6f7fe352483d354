"""Columns known ahead of a forecast, as numbers: a planned price, a holiday, a day at work."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.contenders.native import codes_of
from framework.data.frame import Fold

MOST_VALUES = 20  # of a category that are told apart: the commonest


@dataclass(frozen=True)
class Known:
    """One column that is known ahead. values: those of a category that are told apart; none: it is a number."""

    column: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned:
    """The columns known ahead, in the order of the schema."""

    columns: tuple[Known, ...] = ()

    @classmethod
    def learn(cls, fold: Fold) -> Self:
        """From the training rows: those of `problem.ahead` that are numbers, yes or no, or categories; one that is the
        same in every row is no feature and has been left out before."""
        kinds = {column.name: column.kind for column in fold.schema.columns}
        known = []
        for name in (name for name in kinds if name in fold.problem.ahead):
            if kinds[name] in ("number", "boolean"):
                known.append(Known(name))
            elif kinds[name] == "category":
                commonest = fold.train.X[name].value_counts()
                known.append(Known(name, tuple(str(v) for v in commonest[commonest > 0].index[:MOST_VALUES])))
        return cls(tuple(known))

    @property
    def names(self) -> list[str]:
        """Of the matrix's columns."""
        told = [[f"{k.column} {value}" for value in k.values] or [k.column] for k in self.columns]
        return [f"ahead {name}" for each in told for name in each]

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """Rows conformed to the schema → shape (rows, len(names)), nan where a number is missing."""
        parts = [np.empty((len(X), 0))]
        for known in self.columns:
            if known.values:
                codes = codes_of(X[known.column], pd.Index(known.values, dtype=object))
                parts.append((codes[:, None] == np.arange(len(known.values))).astype(np.float64))
            else:
                parts.append(X[known.column].to_numpy(dtype=np.float64)[:, None])
        return np.hstack(parts)

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(known) for known in self.columns]

    @classmethod
    def from_json(cls, told: list[Mapping[str, Any]]) -> Self:
        return cls(tuple(Known(each["column"], tuple(each["values"])) for each in told))
