"""A scikit-learn estimator behind the columns it was fit on, as a Model."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.contenders.native import Native
from framework.contenders.probabilities import widen
from framework.contenders.sklearn_file import load_sklearn, save_sklearn
from framework.contenders.target import Target

CARD = "sklearn.json"
PARTS = "estimator.skops"


@dataclass(frozen=True)
class SklearnModel:
    """columns: a fitted ColumnTransformer, or the matrix of tree engines. classes: how many; 0 for values.

    found: what the fit chose, to settle a contender by.
    """

    columns: Any
    estimator: Any
    classes: int = 0
    target: Target = field(default_factory=Target)
    found: dict[str, Any] = field(default_factory=dict)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        native = isinstance(self.columns, Native)
        rows = self.columns.matrix(X) if native else self.columns.transform(X)
        if self.classes:
            return widen(self.estimator.predict_proba(rows), self.estimator.classes_, self.classes)
        return self.target.back(np.asarray(self.estimator.predict(rows), dtype=np.float64))

    def save(self, folder: Path) -> None:
        native = isinstance(self.columns, Native)
        card = {"native": native, "classes": self.classes, "target": self.target.to_json(), "found": self.found}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")
        if native:
            self.columns.save(folder)
        save_sklearn({"columns": None if native else self.columns, "estimator": self.estimator}, folder / PARTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        parts = load_sklearn(folder / PARTS)
        columns = Native.load(folder) if card["native"] else parts["columns"]
        target = Target.from_json(card["target"])
        return cls(columns, parts["estimator"], card["classes"], target, card["found"])
