"""Each silo alone: the baseline that a federation has to beat, and often a strong one."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from federated.dealt import deal, silo_column
from federated.policy import USUAL, Policy
from framework.contender import Contender, Context, Model
from framework.contenders.linear import Linear
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold, Frame
from framework.problem import Kind

CARD = "local_only.json"
ALONE = Linear()


class AloneError(RuntimeError):
    """No silo has rows enough for a model of its own."""


@dataclass(frozen=True)
class LocalOnly:
    """Any contender, fit once on the rows of each silo of the problem's silo column and on nothing else.

    A silo with fewer rows than its policy asks for, or with answers of one kind only, and rows of a silo that took no
    part, are answered by the mean of all silos' models.
    """

    contender: Contender = ALONE
    policy: Policy = USUAL
    name: str = "local only"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = False

    @property
    def imports(self) -> tuple[str, ...]:
        return tuple(getattr(self.contender, "imports", ()))

    @property
    def resources(self) -> Resources:
        return self.contender.resources

    def fit(self, fold: Fold, context: Context) -> "LocalModels":
        """Each silo has an equal share of the time that is left. Raises DealError where there are no silos."""
        models: dict[str, Model] = {}
        sources = deal(fold, self.policy)
        for place, source in enumerate(sources):
            enough = len(source.train) >= self.policy.minimum_rows
            if not enough or (fold.problem.classified and len(np.unique(source.train.y)) < 2):
                context.remark(f"{self.name}: silo {source.name!r} has too few rows for a model of its own")
                continue
            folder = context.folder / f"silo-{place}"
            folder.mkdir(exist_ok=True)
            left = context.remaining() / (len(sources) - place)
            given = replace(context, folder=folder, deadline=context.deadline - context.remaining() + left)
            alone = replace(fold, train=_narrowed(source.train, fold), valid=_narrowed(source.valid, fold))
            models[source.name] = self.contender.fit(alone, replace(given, sink=lambda step, metrics: None))
            context.report(place)
        if not models:
            raise AloneError("no silo has rows enough for a model of its own")
        return LocalModels(silo_column(fold), models, len(fold.classes), tuple(fold.schema.names))

    def settled(self, model: Model) -> "LocalOnly":
        return self


@dataclass(frozen=True)
class LocalModels:
    """silo: the column that tells silos apart. models: silo → the model of its rows. classes: 0 for values.

    names: of the columns that the models take, which need not have the silo's among them.
    """

    silo: str
    models: dict[str, Model] = field(repr=False)
    classes: int
    names: tuple[str, ...]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        names = X[self.silo].astype(object).where(X[self.silo].isin(list(self.models)), "").to_numpy()
        told = np.zeros((len(X), self.classes) if self.classes else len(X))
        for name in sorted(set(names)):
            chosen = np.flatnonzero(names == name)
            rows = X[list(self.names)].iloc[chosen].reset_index(drop=True)
            asked = [self.models[name]] if name in self.models else list(self.models.values())
            told[chosen] = np.mean([model.predict(rows) for model in asked], axis=0)
        return told

    def save(self, folder: Path) -> None:
        models = sorted(self.models)
        for place, name in enumerate(models):
            part = folder / f"silo-{place}"
            part.mkdir()
            store_model(self.models[name], part)
        card = {"silo": self.silo, "models": models, "classes": self.classes, "names": self.names}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        models = {name: open_model(folder / f"silo-{place}") for place, name in enumerate(card["models"])}
        return cls(card["silo"], models, card["classes"], tuple(card["names"]))


def _narrowed(frame: Frame, fold: Fold) -> Frame:
    """The columns of the question alone: rows may carry the silo's name beside them."""
    return replace(frame, X=frame.X[list(fold.schema.names)])
