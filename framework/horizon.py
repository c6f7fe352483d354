"""How far ahead of what is known each row of a forecast is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from framework.contenders.history import Calendar
from framework.data.frame import Fold


@dataclass(frozen=True)
class Horizon:
    """How far ahead a forecast's row is, and how large its series' errors are. Plain data.

    last: the step at which what is known of each series ends; scales: its seasonal naive error. By the series' label;
    "" stands for a series that is not known.
    """

    calendar: Calendar
    time: str
    series: str | None
    last: dict[str, float]
    scales: dict[str, float]

    @classmethod
    def learn(cls, fold: Fold) -> Self:
        """From the training rows of a forecast."""
        rows, problem = fold.train, fold.problem
        calendar = Calendar.learn(rows.X[str(problem.time)])
        ticks = pd.Series(calendar.ticks(rows.X[str(problem.time)]))
        labels = _labels(rows.X, problem.series)
        scales = np.ones(len(rows)) if rows.truth.scale is None else rows.truth.scale
        last = _by_label(ticks.groupby(labels).max()) | {"": float(ticks.max())}
        spread = _by_label(pd.Series(scales).groupby(labels).first()) | {"": float(np.mean(scales))}
        return cls(calendar, str(problem.time), problem.series, last, spread)

    def steps(self, X: pd.DataFrame) -> np.ndarray:
        """How many steps each row is ahead of what is known, 1 at the least, int64, shape (rows,)."""
        ends = self._of(self.last, X)
        ahead = self.calendar.ticks(X[self.time]) - ends
        return np.maximum(np.where(np.isfinite(ahead), ahead, 1.0), 1.0).astype(np.int64)

    def sizes(self, X: pd.DataFrame) -> np.ndarray:
        """Each row's series' usual error, shape (rows,)."""
        return self._of(self.scales, X)

    def _of(self, known: Mapping[str, float], X: pd.DataFrame) -> np.ndarray:
        return np.array([known.get(label, known[""]) for label in _labels(X, self.series)], dtype=np.float64)


def _by_label(values: pd.Series) -> dict[str, float]:
    return {str(label): float(value) for label, value in values.items()}


def _labels(X: pd.DataFrame, series: str | None) -> list[str]:
    return ["one"] * len(X) if series is None else X[series].astype(str).tolist()
