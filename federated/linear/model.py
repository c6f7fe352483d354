"""A linear model that silos have found by sums."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from federated.linear.design import Design
from federated.linear.sums import likely
from framework.contenders.target import Target

CARD = "linear.json"


@dataclass(frozen=True)
class LinearModel:
    """beta: shape (design.width,). target: of a quantity; classes: 2, or 0 for values. found: the settings that the
    silos' rows to stop by chose."""

    design: Design
    beta: np.ndarray = field(repr=False)
    target: Target
    classes: int
    found: dict[str, Any]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """As `Model` has it."""
        told = self.design.matrix(X) @ self.beta
        if not self.classes:
            return self.target.back(told)
        second = likely(told)
        return np.column_stack([1 - second, second])

    def save(self, folder: Path) -> None:
        self.design.save(folder)
        card = {"beta": self.beta.tolist(), "target": self.target.to_json(), "classes": self.classes}
        (folder / CARD).write_text(json.dumps({**card, "found": self.found}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        design = Design.load(folder)
        return cls(design, np.array(card["beta"]), Target.from_json(card["target"]), card["classes"], card["found"])
