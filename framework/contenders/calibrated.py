"""A contender whose probabilities are corrected where that helps, by what it tells of rows that it has not learned."""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.calibration import Calibration, Method, calibrate
from framework.contender import Contender, Context, Model
from framework.contenders.linear import Linear
from framework.contenders.store import open_model, store_model
from framework.data.data_error import DataError
from framework.data.frame import Fold
from framework.data.kfold import held_out
from framework.problem import Kind

CARD = "calibrated.json"
INNER = "contender"
SLACK = 1.3  # a further fit must fit this many times into the time left


@dataclass(frozen=True)
class Calibrated:
    """`contender`, its probabilities mapped by what they were worth on rows held out of the training rows.

    The contender is fit on the training rows; then, settled, on as many of `folds` parts of them as time allows, each
    answering the rows it was not given. The validation rows play no part: they stay fair to rank on.
    method: "auto" takes what improves the held-out Brier score most, or nothing. found: the map, once it was learned.
    Values need no map: there it is its contender.
    """

    contender: Contender = field(default_factory=Linear)
    method: Method | Literal["auto"] = "auto"
    folds: int = 5
    found: Calibration | None = None
    name: str = ""
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"calibrated/{self.contender.name}")

    @property
    def resources(self) -> Resources:
        return replace(self.contender.resources, cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "CalibratedModel":
        began = time.time()
        found = self.found if fold.problem.classified else Calibration()
        share = 0.5 if found is None else 1.0
        first = replace(context, deadline=min(context.deadline, began + share * context.remaining()))
        model = self.contender.fit(fold, first)
        settled = self.contender.settled(model)
        if found is not None:
            return CalibratedModel(model, found, settled)
        rows, told = self._held_out(fold, settled, context, seconds=time.time() - began)
        if not len(rows):
            context.remark("its probabilities are kept as they are: there was no time, or no way, to hold rows out")
            return CalibratedModel(model, Calibration(), settled)
        checked = calibrate(told, fold.train.truth.take(rows), method=self.method, seed=context.seed)
        context.remark(str(checked))
        return CalibratedModel(model, checked.calibration, settled)

    def settled(self, model: Model) -> "Calibrated":
        if not isinstance(model, CalibratedModel) or model.settled is None:
            return self
        return replace(self, contender=model.settled, found=model.calibration)

    def _held_out(
        self, fold: Fold, contender: Contender, context: Context, *, seconds: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the training rows, and what the contender tells of them having learned from others."""
        rows: list[np.ndarray] = []
        told: list[np.ndarray] = []
        inner = replace(fold, valid=fold.valid.take(np.arange(0)), shards=None)
        for held in _parts(inner, self.folds, context.seed):
            if context.remaining() < SLACK * seconds:
                break
            without = inner.holding(held)
            began = time.time()
            model = contender.fit(replace(without, valid=inner.valid), context)
            seconds = time.time() - began
            rows.append(held)
            told.append(model.predict(without.valid.X))
        if not rows:
            return np.arange(0), np.empty((0, len(fold.classes)))
        return np.concatenate(rows), np.concatenate(told)


@dataclass(frozen=True)
class CalibratedModel:
    """A model and the map of its probabilities. settled: the contender as it would be fit again; it is not saved."""

    model: Model
    calibration: Calibration
    settled: Contender | None = None

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.calibration.apply(self.model.predict(X))

    def save(self, folder: Path) -> None:
        (folder / INNER).mkdir()
        store_model(self.model, folder / INNER)
        (folder / CARD).write_text(json.dumps(self.calibration.to_json()), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return cls(open_model(folder / INNER), Calibration.from_json(card))


def _parts(fold: Fold, folds: int, seed: int) -> list[np.ndarray]:
    """The rows that are held out in turn; none where they cannot be dealt."""
    try:
        return held_out(fold, folds, seed=seed)
    except DataError:
        return []
