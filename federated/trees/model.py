"""What bagged silos leave behind, and a model that knows nothing of columns which no silo tells of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.contenders.native import Native
from framework.contenders.store import open_model, store_model
from framework.contenders.xgboost import XGBoostModel, open_booster

CARD, PART = "trees.json", "model"


@dataclass(frozen=True)
class BagOfTrees:
    """Σ n_k f_k(x) / Σ n_k: the answers of the silos' own boosters, each counted by its rows.

    rounds: of each booster; classes: 0 for values.
    """

    native: Native
    boosters: Sequence[Any] = field(repr=False)
    rows: Sequence[int]
    rounds: Sequence[int]
    classes: int

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """As `Model` has it."""
        matrix = self.native.matrix(X)
        told = [XGBoostModel(self.native, booster, self.classes, {}).scores(matrix) for booster in self.boosters]
        return np.asarray(np.average(told, axis=0, weights=self.rows))

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        for place, booster in enumerate(self.boosters):
            booster.save_model(folder / f"booster-{place}.ubj")
        card = {"rows": list(self.rows), "rounds": list(self.rounds), "classes": self.classes}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        parts = [folder / f"booster-{place}.ubj" for place in range(len(card["rows"]))]
        return cls(Native.load(folder), [open_booster(part.read_bytes()) for part in parts], **card)


@dataclass(frozen=True)
class WithoutTexts:
    """A model that was fit without the table's texts, and is asked with them. names: of the columns that it takes."""

    model: Model
    names: Sequence[str]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """As `Model` has it."""
        return self.model.predict(X[list(self.names)])

    def save(self, folder: Path) -> None:
        (folder / PART).mkdir()
        store_model(self.model, folder / PART)
        (folder / CARD).write_text(json.dumps({"names": list(self.names)}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return cls(open_model(folder / PART), card["names"])


def asked_as(names: Sequence[str], model: Model, taken: Sequence[str]) -> Model:
    """A model that takes all columns of a table. names: of the table's; taken: of those that the model takes."""
    return model if list(names) == list(taken) else WithoutTexts(model, tuple(taken))
