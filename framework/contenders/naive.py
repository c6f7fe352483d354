"""The same as a season ago: what every forecast has to beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.history import History
from framework.data.frame import Fold
from framework.problem import Kind


@dataclass(frozen=True)
class SeasonalNaive:
    """Each series' value of the same month, weekday or hour, the latest that was known."""

    name: str = "seasonal_naive"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"forecast"})
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "SeasonalNaiveModel":
        return SeasonalNaiveModel(History.learn(fold))

    def settled(self, model: Model) -> "SeasonalNaive":
        return self


@dataclass(frozen=True)
class SeasonalNaiveModel:
    """A moment within the history is answered by what was known before it."""

    history: History

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return naive_forecast(self.history, *self.history.places(X))

    def save(self, folder: Path) -> None:
        self.history.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(History.load(folder))


def naive_forecast(history: History, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The seasonal naive forecast of each row; the pooled one where its series is unknown."""
    known = codes >= 0
    told = np.empty(len(codes))
    told[known] = history.naive(codes[known], history.origins(codes[known], columns[known]), columns[known])
    if not known.all():
        told[~known] = history.pooled(columns[~known])
    return told
