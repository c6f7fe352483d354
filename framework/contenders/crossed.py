"""A contender that is given columns made of others beside the table's own, where they pay."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Contender, Context, Model
from framework.contenders.inner_folds import deal
from framework.contenders.linear import Linear, sample
from framework.contenders.store import open_model, store_model
from framework.data.chain import ordered, places
from framework.data.column import Column
from framework.data.data_error import DataError
from framework.data.frame import Fold, Frame
from framework.data.schema import Schema
from framework.features.made import Asked, Made, make
from framework.problem import Kind

CARD = "crossed.json"
MADE = "made.skops"
INNER = "contender"
PARTS = 4
MOST_ROWS = 10_000  # that columns are chosen by
LEAST_ROWS = 100
CELL_SECONDS = 5e-6  # that choosing takes for each value of the table, and each class, on a busy CPU
MOST_SHARE = 0.2  # of the time left, for choosing


@dataclass(frozen=True)
class Crossed:
    """`contender` with ratios, differences, sums and products of two numbers, and mean answers by categories.

    For a linear contender: what explains the errors that one makes, mean answers by two columns at once among it; for
    any other what helps a small booster, counts of a category's values among it. Judged on the training rows by rows
    that were not learned; where nothing pays, or there is no time to ask, it is its contender as it is.
    Mean answers of the training rows come from other rows (out of fold). made: what to make, once it was chosen.
    """

    contender: Contender = field(default_factory=Linear)
    made: tuple[tuple[str, ...], ...] | None = None
    name: str = ""
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"crossed/{self.contender.name}")

    @property
    def resources(self) -> Resources:
        return replace(self.contender.resources, cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "CrossedModel":
        from threadpoolctl import threadpool_limits

        from framework.features.quick import ANSWERS

        fold = replace(fold, shards=None)
        with threadpool_limits(context.threads):
            parts = _parts(fold, context.seed)
            asked = [] if parts is None else self._chosen(fold, parts, context)
            if parts is None or not asked:
                return CrossedModel([], self.contender.fit(fold, context))
            made, columns = make(asked, fold.train, answer=ANSWERS[fold.problem.kind], parts=parts)
        names = _names(made, fold.schema.names)
        added = tuple(Column(name, "number", missing=True) for name in names)
        wider = Fold(
            fold.problem,
            Schema(fold.schema.columns + added, fold.schema.classes),
            _wider(fold.train, columns, names),
            _wider(fold.valid, columns_of(made, fold.valid.X), names),
        )
        return CrossedModel(made, self.contender.fit(wider, context), tuple(map(tuple, asked)))

    def settled(self, model: Model) -> "Crossed":
        if not isinstance(model, CrossedModel):
            return self
        return replace(self, contender=self.contender.settled(model.model), made=model.asked)

    def _chosen(self, fold: Fold, parts: np.ndarray, context: Context) -> list[Asked]:
        if self.made is not None:
            return [list(one) for one in self.made]
        rows = sample(len(fold.train), MOST_ROWS, seed=context.seed)
        looked_at, parts = (fold, parts) if rows is None else (replace(fold, train=fold.train.take(rows)), parts[rows])
        values = len(looked_at.train) * len(fold.schema.columns) * max(1, len(fold.classes) - 1)
        if values * CELL_SECONDS > MOST_SHARE * context.remaining():
            context.remark("there was no time to look for columns made of others")
            return []
        if isinstance(self.contender, Linear):
            from framework.features.for_linear import paying
        else:
            from framework.features.for_trees import paying
        return paying(looked_at, parts, seed=context.seed)


@dataclass(frozen=True)
class CrossedModel:
    """A model, and the columns made of others that it takes beside the table's own.

    asked: what was made; it is not saved.
    """

    made: list[Made]
    model: Model
    asked: tuple[tuple[str, ...], ...] = ()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        if not self.made or not len(X):
            return self.model.predict(X)
        names = _names(self.made, X.columns)
        return self.model.predict(pd.concat([X, pd.DataFrame(columns_of(self.made, X), X.index, names)], axis=1))

    def save(self, folder: Path) -> None:
        from framework.contenders.sklearn_file import save_sklearn

        (folder / INNER).mkdir()
        store_model(self.model, folder / INNER)
        (folder / CARD).write_text(json.dumps({"made": len(self.made)}), encoding="utf-8")
        if self.made:
            save_sklearn(self.made, folder / MADE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        from framework.contenders.sklearn_file import load_sklearn

        made = json.loads((folder / CARD).read_text(encoding="utf-8"))["made"]
        return cls(load_sklearn(folder / MADE) if made else [], open_model(folder / INNER))


def columns_of(made: list[Made], X: pd.DataFrame) -> np.ndarray:
    """All columns made of these rows, shape (rows, columns)."""
    return np.column_stack([one.columns(X) for one in made])


def _names(made: list[Made], taken: Iterable[str]) -> list[str]:
    """The made columns' names, marked where the table has one of the same."""
    known = set(taken)
    return [f"{name} (made)" if name in known else name for one in made for name in one.names]


def _wider(rows: Frame, columns: np.ndarray, names: list[str]) -> Frame:
    added = pd.DataFrame(columns, columns=names)
    truth = replace(rows.truth, features=rows.truth.features + len(names))
    return replace(rows, X=pd.concat([rows.X, added], axis=1), truth=truth)


def _parts(fold: Fold, seed: int) -> np.ndarray | None:
    """Each training row's part, from 0, shape (rows,): groups whole, classes alike; spells where rows have an order.

    None where the rows are too few, lack a class, or cannot be dealt.
    """
    train = fold.train
    if len(train) < LEAST_ROWS or (fold.problem.classified and len(np.unique(train.y)) < len(fold.classes)):
        return None
    parts = np.zeros(len(train), dtype=np.int64)
    if ordered(fold.problem):
        parts[np.argsort(places(train, fold.problem), kind="stable")] = np.arange(len(train)) * PARTS // len(train)
        return parts
    try:
        for number, part in enumerate(deal(fold, PARTS, seed=seed)):
            parts[part.held] = number
    except DataError:
        return None
    return parts
