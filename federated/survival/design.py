"""A table's columns as a Cox model takes them: numbers as they are, a flag for each category but the first."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from federated.preparation import Preparation
from framework.contenders.native import Native
from framework.data.schema import Schema


@dataclass(frozen=True)
class CoxDesign:
    """Numbers less their centre and over their spread, booleans as 0 and 1, and flags: all categories but the first,
    by name, in the columns' order. centre, spread: shape (width,), 0 and 1 of a flag and of a boolean.

    The scale is for Newton's method alone: coefficients are told in the columns' own units.
    """

    schema: Schema
    centre: np.ndarray = field(repr=False)
    spread: np.ndarray = field(repr=False)

    @classmethod
    def learn(cls, preparation: Preparation) -> Self:
        """From what was agreed."""
        schema = preparation.schema
        table = preparation.quantiles.astype(np.float64)
        table = np.where(np.isfinite(table).all(axis=0), table, 0.0)
        centre: list[float] = []
        spread: list[float] = []
        for place, column in enumerate(schema.columns):
            if column.kind == "category":
                centre += [0.0] * (len(column.categories) - 1)
                spread += [1.0] * (len(column.categories) - 1)
                continue
            middle, wide = float(table[:, place].mean()), float(table[:, place].std())
            plain = column.kind == "boolean"
            centre.append(0.0 if plain else middle)
            spread.append(1.0 if plain or wide <= 1e-12 * max(1.0, abs(middle)) else wide)
        return cls(schema, np.array(centre), np.array(spread))

    @cached_property
    def names(self) -> list[str]:
        """Of each column of the matrix: "age", or "plan=gold" for a category."""
        told: list[str] = []
        for column in self.schema.columns:
            coded = column.kind == "category"
            told += [f"{column.name}={level}" for level in column.categories[1:]] if coded else [column.name]
        return told

    @property
    def width(self) -> int:
        return len(self.centre)

    @cached_property
    def parts(self) -> np.ndarray:
        """Which columns of the matrix are of some rows and 0 in all others, shape (width,)."""
        told: list[bool] = []
        for column in self.schema.columns:
            told += [True] * (len(column.categories) - 1) if column.kind == "category" else [column.kind == "boolean"]
        return np.array(told, dtype=bool)

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """Shape (rows, width), float64; nan where a value is missing or of a category that nobody knows.

        X: conformed to the schema.
        """
        raw = np.asarray(Native(self.schema).matrix(X[list(self.schema.names)]), dtype=np.float64)
        blocks = []
        for place, column in enumerate(self.schema.columns):
            values = raw[:, place, None]
            if column.kind != "category":
                blocks.append(values)
                continue
            flags = (values == np.arange(1, len(column.categories))).astype(np.float64)
            blocks.append(np.where(np.isnan(values), np.nan, flags))
        return np.asarray((np.concatenate(blocks, axis=1) - self.centre) / self.spread)


def unmet(x: np.ndarray, parts: np.ndarray, least: int) -> np.ndarray:
    """x with no two flags that meet in fewer than `least` rows: the rarer one is 0 there, as of the first category.

    parts: which columns are flags, shape (width,). A flag that has fewer rows by then is 0 in all.
    """
    x, places = x.copy(), np.flatnonzero(parts)
    while least > 1:
        there = x[:, places] != 0
        meet = there.T.astype(np.float64) @ there
        first, second = np.nonzero(np.triu((meet > 0) & (meet < least)))
        if not len(first):
            break
        for one, other in zip(first, second, strict=True):
            rarer = one if meet[one, one] <= meet[other, other] else other
            x[there[:, one] & there[:, other], places[rarer]] = 0.0
    return x
