"""A forecast by a regression on what each series has been: any contender for values becomes one for forecasts."""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Contender, Context, Model
from framework.contenders.history import History
from framework.contenders.lags import Lags
from framework.contenders.linear import Linear
from framework.contenders.naive import naive_forecast
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold, Frame, Truth
from framework.problem import Kind, Problem

CARD = "lagged.json"
INNER = "regression"
LEAST_PAIRS = 30
LEAST_RECENT = 0.02  # of the newest value's weight
INNER_METRICS = {"rmse": "rmse", "r2": "rmse", "adjusted_r2": "rmse", "pinball_90": "pinball_90"}  # else "mae"


@dataclass(frozen=True)
class Lagged:
    """`contender` learns by how much each value differs from the seasonal naive forecast, from many origins.

    It is told the series' past values, means, growth and calendar, and of the table's other columns those that the
    problem says are known ahead. Where each series is a silo, a contender whose rows stay in silos is dealt each
    series' own. What it stops early by are the last origins of the training rows; then it
    learns once more from all of them, so that the validation rows stay unseen.
    rows: (series, origin, step) triples at most.
    half_life: steps after which a value counts half as much; at least four horizons or seasons, and the longest told.
    """

    contender: Contender = field(default_factory=Linear)
    rows: int = 40_000
    half_life: float = 180.0
    chosen: bool = False  # what early stopping found is in the contender's fields already
    name: str = ""
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"forecast"})
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"lagged/{self.contender.name}")

    @property
    def resources(self) -> Resources:
        return replace(self.contender.resources, cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "LaggedModel":
        history = History.learn(fold)
        horizon = fold.problem.horizon
        lags = Lags(history, 2 * horizon)
        contender, asked = self.contender, fold.problem.metric
        everything = lags.pairs(most=self.rows, since=None, until=None, seed=context.seed)
        if len(everything[0]) < LEAST_PAIRS:
            return LaggedModel(lags, None, contender)
        silo = fold.problem.silo if fold.problem.silo == fold.problem.series and not contender.pooled else None
        asked_for = INNER_METRICS.get(asked, "mae")
        problem = Problem(f"{fold.problem.name}, by lags", "regression", "difference", asked_for, silo=silo)
        schema = lags.schema()
        nothing = self._rows(lags, tuple(part[:0] for part in everything), problem, asked)
        if not self.chosen:
            early = lags.pairs(most=self.rows, since=None, until=horizon, seed=context.seed)
            late = lags.pairs(most=self.rows // 4, since=horizon, until=None, seed=context.seed)
            if len(early[0]) >= LEAST_PAIRS and len(late[0]):
                train, valid = (self._rows(lags, part, problem, asked) for part in (early, late))
                half = replace(context, deadline=time.time() + context.remaining() / 2)
                contender = contender.settled(contender.fit(Fold(problem, schema, train, valid), half))
        whole = Fold(problem, schema, self._rows(lags, everything, problem, asked), nothing)
        return LaggedModel(lags, contender.fit(whole, context), contender, silo)

    def _rows(self, lags: Lags, pairs: tuple[np.ndarray, ...], problem: Problem, metric: str) -> Frame:
        steps = [4 * lags.history.season, 2 * lags.steps, *(season for _, season in lags.longer)]
        rows = _rows(lags, pairs, metric, half_life=max(self.half_life, *steps))
        return replace(rows, X=_named(rows.X, lags, pairs[0], problem.silo))

    def settled(self, model: Model) -> "Lagged":
        return replace(self, contender=model.contender, chosen=True) if isinstance(model, LaggedModel) else self


@dataclass(frozen=True)
class LaggedModel:
    """Each series' history, and the regression on it (None: too short a history, the naive forecast it is).

    A moment within the history is told from what was known before it; a series never seen, by the mean of all.
    contender: as it was settled; it is not saved. silo: the column by which the regression tells series apart.
    """

    lags: Lags
    model: Model | None
    contender: Contender = field(default_factory=Linear)
    silo: str | None = None

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        history = self.lags.history
        codes, columns = history.places(X)
        told = naive_forecast(history, codes, columns)
        known = codes >= 0
        known[known] &= columns[known] > history.first[codes[known]]
        if self.model is None or not known.any():
            return told
        plans = history.planned.matrix(X)[known]
        codes, columns = codes[known], columns[known]
        origins = history.origins(codes, columns)
        table = _named(self.lags.table(codes, origins, columns, plans), self.lags, codes, self.silo)
        difference = self.model.predict(table)
        told[known] += difference * self.lags.level(codes, origins)
        return told

    def save(self, folder: Path) -> None:
        self.lags.history.save(folder)
        card = {"steps": self.lags.steps, "fitted": self.model is not None, "silo": self.silo}
        (folder / CARD).write_text(json.dumps(card))
        if self.model is not None:
            (folder / INNER).mkdir()
            store_model(self.model, folder / INNER)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        model = open_model(folder / INNER) if card["fitted"] else None
        return cls(Lags(History.load(folder), card["steps"]), model, silo=card.get("silo"))


def _named(X: pd.DataFrame, lags: Lags, codes: np.ndarray, silo: str | None) -> pd.DataFrame:
    """The table with each row's series in a column of this name, which no model is told; None: as it is."""
    return X if silo is None else X.assign(**{silo: np.array(lags.history.labels, dtype=object)[codes]})


def _rows(lags: Lags, pairs: tuple[np.ndarray, ...], metric: str, *, half_life: float) -> Frame:
    """Triples as the rows of a regression; each weighs what its error will weigh in the forecast's metric, and half as
    much after so many steps: what moved a series long ago moves it less."""
    codes, origins, ends = pairs
    level = lags.level(codes, origins)
    y = (lags.history.at(codes, ends) - lags.history.naive(codes, origins, ends)) / level
    if metric == "mase":
        weight = level / lags.history.error[codes]
    elif metric in ("rmse", "r2", "adjusted_r2"):
        weight = level**2
    elif metric in ("smape", "mape"):
        weight = np.ones(len(level))
    else:
        weight = level
    if len(weight):
        recent = np.maximum(0.5 ** ((lags.history.last[codes] - ends) / half_life), LEAST_RECENT)
        weight = np.clip(weight / weight.mean(), 0.01, 20.0) * recent
        weight = weight / weight.mean()
    X = lags.table(codes, origins, ends)
    spells = (ends + lags.history.start) // max(1, lags.steps // 2)  # what overlaps in time stays on one side
    return Frame(X, Truth(y=y, weight=weight, features=X.shape[1]), group=spells)
