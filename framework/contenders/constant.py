"""The answer that looks at nothing: what every other contender has to beat."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.target import quantile_of
from framework.data.frame import Fold
from framework.problem import Kind


@dataclass(frozen=True)
class Constant:
    """Class shares, the mean, or the quantile that the metric is best served by."""

    name: str = "constant"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "ConstantModel":
        y, weight = fold.train.y, fold.train.weight
        if fold.problem.classified:
            counts = np.bincount(y, weights=weight, minlength=len(fold.classes))
            return ConstantModel(tuple((counts / counts.sum()).tolist()), classified=True)
        quantile = quantile_of(fold.problem.metric)
        if quantile is None:
            return ConstantModel((float(np.average(y, weights=weight)),), classified=False)
        return ConstantModel((weighted_quantile(y, quantile, weight),), classified=False)

    def settled(self, model: Model) -> "Constant":
        return self


@dataclass(frozen=True)
class ConstantModel:
    """The same answer for every row."""

    answer: tuple[float, ...]
    classified: bool

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        if self.classified:
            return np.tile(np.array(self.answer), (len(X), 1))
        return np.full(len(X), self.answer[0])

    def save(self, folder: Path) -> None:
        card = {"answer": self.answer, "classified": self.classified}
        (folder / "constant.json").write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / "constant.json").read_text(encoding="utf-8"))
        return cls(tuple(card["answer"]), card["classified"])


def weighted_quantile(values: np.ndarray, quantile: float, weight: np.ndarray | None = None) -> float:
    """The quantile of values that count by their weight."""
    if weight is None:
        return float(np.quantile(values, quantile))
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(int(np.searchsorted(share, quantile)), len(values) - 1)])
