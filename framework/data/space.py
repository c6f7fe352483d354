"""The common standardised space in which clusters are judged, whichever contender found them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from framework.data.schema import Schema

MOST_DIMENSIONS = 50
_LEARNED_FROM = 20_000  # rows


@dataclass(frozen=True)
class Space:
    """Numbers and dates with their median for what is missing, standardised; categories one-hot / √2 (two rows of
    different categories are 1 apart); text left out. More than 50 dimensions are turned into principal components.

    Learned from training rows only.
    """

    schema: Schema
    middle: np.ndarray
    spread: np.ndarray
    mean: np.ndarray
    axes: np.ndarray | None

    @classmethod
    def learn(cls, X: pd.DataFrame, schema: Schema) -> "Space":
        sample = X.iloc[:: max(1, len(X) // _LEARNED_FROM)]
        numbers = _numbers(sample, schema)
        middle, spread = np.zeros(numbers.shape[1]), np.ones(numbers.shape[1])
        for place in range(numbers.shape[1]):
            there = numbers[~np.isnan(numbers[:, place]), place]
            if len(there):
                middle[place] = np.median(there)
                spread[place] = np.where(np.isnan(numbers[:, place]), middle[place], numbers[:, place]).std() or 1.0
        space = cls(schema, middle, spread, np.zeros(0), None)
        flat = space._flat(sample)
        if flat.shape[1] <= MOST_DIMENSIONS:
            return space
        mean = flat.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov(flat - mean, rowvar=False))
        return cls(schema, middle, spread, mean, vectors[:, ::-1][:, :MOST_DIMENSIONS])

    def save(self, path: Path) -> None:
        """Writes the space as named arrays; `load` reads it back equal."""
        axes = np.zeros((0, 0)) if self.axes is None else self.axes
        schema = np.array(json.dumps(self.schema.to_json(), default=str))
        np.savez(path, schema=schema, middle=self.middle, spread=self.spread, mean=self.mean, axes=axes)

    @classmethod
    def load(cls, path: Path) -> "Space":
        with np.load(path, allow_pickle=False) as parts:
            axes = parts["axes"] if parts["axes"].size else None
            schema = Schema.from_json(json.loads(str(parts["schema"])))
            return cls(schema, parts["middle"], parts["spread"], parts["mean"], axes)

    def place(self, X: pd.DataFrame) -> np.ndarray:
        """The rows in the space, shape (rows, dimensions), float32."""
        flat = self._flat(X)
        return np.ascontiguousarray(flat if self.axes is None else (flat - self.mean) @ self.axes, dtype=np.float32)

    def _flat(self, X: pd.DataFrame) -> np.ndarray:
        numbers = _numbers(X, self.schema)
        parts = [(np.where(np.isnan(numbers), self.middle, numbers) - self.middle) / self.spread]
        for column in self.schema.columns:
            if column.kind == "category":
                codes = X[column.name].cat.codes.to_numpy()
                parts.append((codes[:, None] == np.arange(len(column.categories))) / np.sqrt(2))
        return np.concatenate(parts, axis=1)


def _numbers(X: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Numbers, booleans and dates (in days) side by side, shape (rows, columns), float64, NaN where missing."""
    found = []
    for column in schema.columns:
        if column.kind in ("number", "boolean"):
            found.append(X[column.name].to_numpy())
        elif column.kind == "date":
            moments = X[column.name].to_numpy()
            found.append(np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 86_400e9))
    return np.stack(found, axis=1) if found else np.zeros((len(X), 0))
