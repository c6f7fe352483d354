"""Columns as tree engines take them: one matrix, categories as codes, gaps left as gaps."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.data.schema import Schema

CARD = "columns.json"
TEXTS = "texts.skops"
CYCLES = {"month": 12.0, "dayofweek": 7.0, "hour": 24.0}
DATE_PARTS = 1 + 2 * len(CYCLES)


@dataclass(frozen=True)
class Native:
    """The columns of a schema as one float64 matrix: numbers and booleans as they are, categories as codes.

    A missing value is nan, and so is a category that training did not know. A date becomes days since 1970 and its
    place in the year, week and day; a text column a few numbers. Only numbers: the frame's own memory, not copied.
    """

    schema: Schema
    words: dict[str, Any] = field(default_factory=dict)  # text column → its fitted encoder

    @classmethod
    def learn(cls, schema: Schema, X: pd.DataFrame, *, seed: int) -> Self:
        """Text encoders are all that is learned from rows, at most 50,000 of them."""
        texts = [column.name for column in schema.columns if column.kind == "text"]
        if not texts:
            return cls(schema)
        from framework.contenders.words import Words

        return cls(schema, {name: Words(seed=seed).fit(X[[name]].iloc[:50_000]) for name in texts})

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """Shape (rows, self.width). Not to be written into: it may be the frame's own memory."""
        if self._plain:
            return X.to_numpy(dtype=np.float64)
        rows = np.empty((len(X), self.width), order="C" if len(X) < 64 else "F")
        place = 0
        for (name, values), column in zip(X.items(), self.schema.columns, strict=True):
            if column.kind in ("number", "boolean"):
                rows[:, place] = values.array
                place += 1
            elif column.kind == "category":
                codes = codes_of(values, self._categories[column.name])
                rows[:, place] = codes
                rows[codes < 0, place] = np.nan
                place += 1
            else:
                block = self._block(column.name, column.kind, X[[name]])
                rows[:, place : place + block.shape[1]] = block
                place += block.shape[1]
        return rows

    @cached_property
    def categorical(self) -> list[bool]:
        """Of each column of the matrix, whether it holds codes."""
        return [column.kind == "category" for column, width in self.widths for _ in range(width)]

    @cached_property
    def width(self) -> int:
        return sum(width for _, width in self.widths)

    @cached_property
    def _plain(self) -> bool:
        return all(column.kind in ("number", "boolean") for column in self.schema.columns)

    @cached_property
    def _categories(self) -> dict[str, pd.Index]:
        kinds = (column for column in self.schema.columns if column.kind == "category")
        return {column.name: pd.Index(column.categories, dtype=object) for column in kinds}

    @cached_property
    def widths(self) -> list[tuple[Any, int]]:
        return [
            (c, DATE_PARTS if c.kind == "date" else self._text_width(c.name) if c.kind == "text" else 1)
            for c in self.schema.columns
        ]

    def _text_width(self, name: str) -> int:
        return int(self.words[name].width_)

    def _block(self, name: str, kind: str, X: pd.DataFrame) -> np.ndarray:
        if kind == "text":
            return np.asarray(self.words[name].transform(X))
        return np.column_stack(date_parts(X[name]))

    def save(self, folder: Path) -> None:
        (folder / CARD).write_text(json.dumps(self.schema.to_json(), default=str, ensure_ascii=False), encoding="utf-8")
        if self.words:
            from framework.contenders.sklearn_file import save_sklearn

            save_sklearn(self.words, folder / TEXTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        schema = Schema.from_json(json.loads((folder / CARD).read_text(encoding="utf-8")))
        if not any(column.kind == "text" for column in schema.columns):
            return cls(schema)
        from framework.contenders.sklearn_file import load_sklearn

        return cls(schema, load_sklearn(folder / TEXTS))


def codes_of(column: pd.Series, categories: pd.Index) -> np.ndarray:
    """Places in `categories`, int, -1 for missing and for values that are not in it."""
    values = column.array
    if isinstance(values, pd.Categorical):
        if values.categories is categories or values.categories.equals(categories):
            return np.asarray(values.codes)
        places = np.append(categories.get_indexer(values.categories), -1)
        return np.asarray(places[values.codes])
    return np.asarray(categories.get_indexer(pd.Index(column)))


def date_parts(dates: pd.Series) -> list[np.ndarray]:
    """Days since 1970 and the cycles' sine and cosine, each shape (rows,), nan where the date is missing."""
    moments = pd.DatetimeIndex(dates)
    parts = [((moments - pd.Timestamp(0)) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64)]
    for unit, length in CYCLES.items():
        angle = 2 * np.pi * getattr(moments, unit).to_numpy(dtype=np.float64) / length
        parts += [np.sin(angle), np.cos(angle)]
    return parts
