"""Rows as one dense matrix, for nets that take nothing else: what silos have agreed on, applied."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from federated.preparation import Preparation
from framework.contenders.net_rows import NetRows

CARD = "dense.json"
SOFT = 3.0  # standard deviations that a number approaches and never passes


@dataclass(frozen=True)
class Dense:
    """Numbers as z / √(1 + (z / 3)²) with z = (x - centre) / spread, 0 in a gap; a flag for each gap; a flag for each
    category. centre, spread: median and interquartile range / 1.35, shape (numbers,)."""

    rows: NetRows
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def learn(cls, preparation: Preparation) -> Self:
        """From what was agreed, and from no row."""
        encoder = preparation.encoder
        numbers = ~np.array(encoder.native.categorical, dtype=bool)
        low, middle, high = np.quantile(preparation.quantiles[:, numbers].astype(np.float64), [0.25, 0.5, 0.75], axis=0)
        spread = (high - low) / 1.35
        known = np.isfinite(middle)
        return cls(encoder, np.where(known, middle, 0.0), np.where(known & (spread > 0), spread, 1.0))

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """Shape (rows, features), float32, without gaps."""
        raw = self.rows.inputs(X[list(self.rows.native.schema.names)])
        coded = np.array(self.rows.native.categorical, dtype=bool)
        numbers = raw[:, ~coded]
        gaps = np.isnan(numbers)
        z = np.where(gaps, 0.0, (numbers - self.centre) / self.spread)
        flags = [
            (raw[:, place, None] == np.arange(card)).astype(np.float32)
            for place, card in enumerate(self.rows.cards)
            if card
        ]
        return np.concatenate([z / np.sqrt(1 + (z / SOFT) ** 2), gaps, *flags], axis=1, dtype=np.float32)

    def save(self, folder: Path) -> None:
        self.rows.save(folder)
        card = {"centre": self.centre.tolist(), "spread": self.spread.tolist()}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return cls(NetRows.load(folder), np.array(card["centre"]), np.array(card["spread"]))
