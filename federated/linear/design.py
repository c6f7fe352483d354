"""A table's columns as a linear model takes them, built from what silos have agreed on and from no row."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from federated.linear.encoding import Encoding, codes_of, looked_up, wide
from federated.preparation import Preparation
from framework.contenders.net_rows import NetRows

CARD = "design.json"
KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of a column's values at which its effect may bend
SKEWED = 1.0  # above which a log is tried


@dataclass(frozen=True)
class Design:
    """1, then z of each number, the number of each encoded column, a flag for each number's gap, a flag of each
    category, then max(0, z - knot) of each knot.

    z: the number held within what was agreed of it, on a log scale where that halves its skewness, less its centre and
    over its spread; 0 in a gap. All of shape (numbers,): low, high, logged, centre, spread; knots: (numbers, knots), in
    z, nan where a column has too few values to bend. encoded: place of a column of many values → the number of each.
    """

    rows: NetRows
    low: np.ndarray
    high: np.ndarray
    logged: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    knots: np.ndarray
    encoded: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def learn(cls, preparation: Preparation) -> Self:
        """From what was agreed."""
        rows = preparation.encoder
        numbers = ~np.array(rows.native.categorical, dtype=bool)
        table = preparation.quantiles[:, numbers].astype(np.float64)
        table = np.where(np.isfinite(table).all(axis=0), table, 0.0)
        low, high = table[0], table[-1]
        even = np.log1p(table - low)
        logged = (np.abs(_skewness(table)) > SKEWED) & (np.abs(_skewness(even)) < np.abs(_skewness(table)) / 2)
        told = np.where(logged, even, table)
        centre, spread = told.mean(axis=0), told.std(axis=0)
        spread = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(centre)), spread, 1.0)
        z = (told - centre) / spread
        knots = np.quantile(z, KNOTS, axis=0).T.reshape(len(low), len(KNOTS))
        few = (np.diff(knots, axis=1) <= 1e-9).any(axis=1)
        places = wide(rows)
        encoded = {places[name]: Encoding.learn(sums).values() for name, sums in preparation.answers.items()}
        return cls(rows, low, high, logged, centre, spread, np.where(few[:, None], np.nan, knots), encoded)

    def matrix(self, X: pd.DataFrame, encoded: np.ndarray | None = None) -> np.ndarray:
        """Shape (rows, self.width), float64, without gaps. encoded: in place of the encoded columns, shape (rows,
        columns)."""
        raw = np.asarray(self.rows.native.matrix(X[list(self.rows.native.schema.names)]), dtype=np.float64)
        coded = np.array(self.rows.native.categorical, dtype=bool)
        numbers = raw[:, ~coded]
        gaps = ~np.isfinite(numbers)
        held = np.clip(np.where(gaps, self.low, numbers), self.low, self.high)
        held = np.where(self.logged, np.log1p(held - self.low), held)
        z = np.where(gaps, 0.0, (held - self.centre) / self.spread)
        flags = [raw[:, place, None] == np.arange(card) for place, card in self._flagged]
        if encoded is None:
            told = [looked_up(values, codes_of(raw, place)) for place, values in self.encoded.items()]
            encoded = np.column_stack([np.empty((len(raw), 0)), *told])
        bends = np.maximum(0.0, z[:, :, None] - self.knots).reshape(len(raw), self.knots.size)
        bends = np.where(np.repeat(gaps, self.knots.shape[1], axis=1), 0.0, bends)[:, self._bending]
        return np.concatenate([np.ones((len(raw), 1)), z, encoded, gaps, *flags, bends], axis=1, dtype=np.float64)

    @property
    def straight(self) -> int:
        """How many columns there are before the bends."""
        return 1 + 2 * len(self.low) + len(self.encoded) + sum(card for _, card in self._flagged)

    @property
    def width(self) -> int:
        return self.straight + int(self._bending.sum())

    @cached_property
    def parts(self) -> np.ndarray:
        """Which columns are of some rows and 0 in all others, shape (width,): flags and bends."""
        told = np.ones(self.width, dtype=bool)
        told[: 1 + len(self.low) + len(self.encoded)] = False
        return told

    @cached_property
    def _flagged(self) -> list[tuple[int, int]]:
        """Places of columns of categories, and how many they have, of those that are not encoded."""
        cards = enumerate(self.rows.cards)
        return [(place, card) for place, card in cards if card and place not in self.encoded]

    @cached_property
    def _bending(self) -> np.ndarray:
        """Which of the bends there are, of all numbers' knots in a row."""
        return np.asarray(np.isfinite(self.knots).ravel())

    def save(self, folder: Path) -> None:
        self.rows.save(folder)
        names = ("low", "high", "logged", "centre", "spread", "knots")
        card: dict[str, Any] = {name: getattr(self, name).tolist() for name in names}
        card["encoded"] = [[place, values.tolist()] for place, values in self.encoded.items()]
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        encoded = {place: np.array(values) for place, values in card.pop("encoded")}
        arrays = {name: np.array(values, dtype=bool if name == "logged" else float) for name, values in card.items()}
        arrays["knots"] = arrays["knots"].reshape(len(arrays["low"]), len(KNOTS))
        return cls(NetRows.load(folder), **arrays, encoded=encoded)


def _skewness(table: np.ndarray) -> np.ndarray:
    """Of each column; 0 where it has one value."""
    apart = table - table.mean(axis=0)
    spread = np.sqrt((apart**2).mean(axis=0))
    return np.asarray(np.where(spread > 0, (apart**3).mean(axis=0) / np.where(spread > 0, spread, 1.0) ** 3, 0.0))
