"""The short way from a request's rows to a booster's answer, without a frame in between."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from framework.contender import Model
from framework.contenders.blend import BlendModel
from framework.contenders.calibrated import CalibratedModel
from framework.contenders.ensemble import mean
from framework.contenders.lightgbm import LightGBMModel
from framework.contenders.vote import VoteModel, count
from framework.contenders.xgboost import XGBoostModel
from framework.data.column import Column
from framework.data.schema import Schema
from framework.predictor import Predictor
from framework.serving.request import Row

Scores = Callable[[np.ndarray], np.ndarray]  # a matrix, shape (rows, columns) → what `Model.predict` returns
NUMBERS = ({float}, {int}, {float, int})


@dataclass(frozen=True)
class Direct:
    """A model of numbers, yes or no, and categories that are taken as one matrix: boosters, and means of such.

    Only values as training had them go this way; whatever draws a warning, or an error, goes the long one.
    """

    predictor: Predictor
    scores: Scores
    columns: tuple["Cells", ...]

    @classmethod
    def of(cls, predictor: Predictor) -> "Direct | None":
        """The short way to a model; None where there is none."""
        scores = scores_of(predictor.model, predictor.schema)
        if scores is None or any(column.kind in ("text", "date") for column in predictor.schema.columns):
            return None
        if predictor.band is not None and predictor.band.horizon is not None:
            return None  # a forecast's interval depends on the rows
        return cls(predictor, scores, tuple(Cells.of(column) for column in predictor.schema.columns))

    def items(self, requests: Sequence[Sequence[Row]]) -> list[dict[str, Any]] | None:
        """The answers to all rows of these requests, in their order; None where a value has to go the long way."""
        rows = requests[0] if len(requests) == 1 else list(chain.from_iterable(requests))
        matrix = np.empty((len(rows), len(self.columns)))
        for place, column in enumerate(self.columns):
            if not column.fill(matrix[:, place], [row[column.name] for row in rows]):
                return None
        return self._told(self.scores(matrix))

    def _told(self, predicted: np.ndarray) -> list[dict[str, Any]]:
        schema, band = self.predictor.schema, self.predictor.band
        if self.predictor.problem.classified:
            names = [str(label) for label in schema.classes]
            best = predicted.argmax(axis=1).tolist()
            return [
                {"prediction": schema.classes[code], "probabilities": dict(zip(names, shares, strict=True))}
                for code, shares in zip(best, predicted.tolist(), strict=True)
            ]
        if band is None:
            return [{"prediction": value} for value in predicted.tolist()]
        low, high = band.around(predicted)
        told = zip(predicted.tolist(), low.tolist(), high.tolist(), strict=True)
        return [{"prediction": value, "prediction_low": lo, "prediction_high": hi} for value, lo, hi in told]


@dataclass(frozen=True)
class Cells:
    """One column's values as numbers. known: each value's number; None: the values are numbers."""

    name: str
    missing: bool  # whether gaps may be
    known: Mapping[Any, float] | None

    @classmethod
    def of(cls, column: Column) -> "Cells":
        gap = {None: np.nan} if column.missing else {}
        if column.kind == "number":
            return cls(column.name, column.missing, None)
        if column.kind == "boolean":
            return cls(column.name, column.missing, {True: 1.0, False: 0.0} | gap)
        codes = {text: float(code) for code, text in enumerate(column.categories)}
        return cls(column.name, column.missing, {**codes, **gap})

    def fill(self, place: np.ndarray, values: list[Any]) -> bool:
        """Writes the values, as `Native.matrix` has them, into an array of shape (rows,); False: one needs care."""
        try:
            if self.known is not None:
                place[:] = [self.known[value] for value in values]
                return True
            if None in values and self.missing:
                values = [np.nan if value is None else value for value in values]
            if set(map(type, values)) not in NUMBERS:
                return False
            place[:] = values
        except (KeyError, TypeError, ValueError, OverflowError):
            return False
        return bool(np.isfinite(place).all() or (self.missing and not np.isinf(place).any()))


def scores_of(model: Model, schema: Schema) -> Scores | None:
    """How a model answers a matrix of this schema's columns; None where it does not."""
    if isinstance(model, XGBoostModel | LightGBMModel):
        return model.scores if model.native.schema.columns == schema.columns else None
    if isinstance(model, CalibratedModel):
        inner, calibration = scores_of(model.model, schema), model.calibration
        return None if inner is None else lambda rows: calibration.apply(inner(rows))
    if not isinstance(model, BlendModel | VoteModel):
        return None
    members = {name: scores_of(each, schema) for name, each in model.models.items()}
    known = {name: scores for name, scores in members.items() if scores is not None}
    if len(known) < len(members):
        return None
    if isinstance(model, VoteModel):
        return lambda rows: count({name: scores(rows) for name, scores in known.items()})
    weights = model.weights
    return lambda rows: mean({name: known[name](rows) for name in weights}, weights)
