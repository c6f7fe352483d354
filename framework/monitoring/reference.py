"""What a model's training rows looked like, in a few numbers a column: what live rows are held against.

Quantiles and counts, no row: each step between two quantiles holds ten rows or more, and neither the smallest nor the
largest value is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.data.column import Column
from framework.data.schema import Schema
from framework.data.values import text_of
from framework.monitoring.embedding import MOST_AXES, Embedding, axes_of, embedded
from framework.problem import Problem

MOST_ROWS = 50_000  # that quantiles and counts are taken from
MOST_QUANTILES = 100
MOST_NUMBERS = 20_000  # quantiles of all columns: of a wide table each has fewer, but 10
ROWS_A_STEP = 10  # between two quantiles, at the least
MOST_CLASSES = 10  # whose probabilities are watched one by one
_DAY = 86_400e9  # nanoseconds


@dataclass(frozen=True)
class Summary:
    """One column of the reference.

    rows: how many there were; missing: how many of them had no value.
    quantiles, below: of numbers, dates (days since 1970) and texts (their lengths): values at equally spaced levels,
    and the exact share of the present values up to each. deviation: their standard deviation.
    counts: of a category: the rows of each, in the order of `Column.categories`.
    """

    rows: int
    missing: int
    quantiles: tuple[float, ...] = ()
    below: tuple[float, ...] = ()
    deviation: float = 0.0
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reference:
    """The training rows' columns, the model's answers on rows it had not learned from, and all columns together.

    columns, answers: name → (what it is, how it was). joint: None for a table too wide for it.
    """

    columns: Mapping[str, tuple[Column, Summary]]
    answers: Mapping[str, tuple[Column, Summary]]
    joint: Embedding | None = None

    @classmethod
    def of(
        cls, frames: Sequence[pd.DataFrame], predicted: np.ndarray, *, schema: Schema, problem: Problem, seed: int = 0
    ) -> "Reference":
        """frames: the training rows, conformed. predicted: the model's output for other rows, as `Model.predict` gives
        it. The time column is left out: it moves on in any case."""
        X = _sample(frames, seed)
        watched = [column for column in schema.columns if column.name != problem.time]
        most = max(MOST_QUANTILES // 10, min(MOST_QUANTILES, MOST_NUMBERS // max(1, len(watched))))
        measured = {column.name: measure(column, plain(X[column.name])) for column in watched}
        columns = {column.name: (column, summarise(column, measured[column.name], most)) for column in watched}
        told = answer_columns(predicted, problem=problem, schema=schema) if len(predicted) else []
        answers = {column.name: (column, summarise(column, measure(column, values))) for column, values in told}
        few = 0 < axes_of(columns) <= MOST_AXES and len(X) > 1
        return cls(columns, answers, Embedding.of(embedded(columns, measured), seed=seed) if few else None)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        return {
            "columns": {name: _told(*each) for name, each in self.columns.items()},
            "answers": {name: _told(*each) for name, each in self.answers.items()},
            "joint": None if self.joint is None else asdict(self.joint),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Reference":
        columns, answers = (
            {str(name): _read(each) for name, each in data[part].items()} for part in ("columns", "answers")
        )
        joint = data["joint"]
        return cls(columns, answers, None if joint is None else Embedding(**{**joint, "mean": tuple(joint["mean"])}))


def measure(column: Column, values: np.ndarray) -> np.ndarray:
    """Raw or conformed values of a column, shape (rows,), as numbers (float64, NaN missing) or as a category's codes
    (int64, -1 missing, one past the last for a category that training had not).

    Raises SchemaError for a value that is not of the column's kind.
    """
    if column.kind == "category":
        codes = {category: code for code, category in enumerate(column.categories)}
        place, distinct = pd.factorize(values if values.dtype.kind == "O" else values.astype(object))
        found = [-1 if (text := text_of(value)) is None else codes.get(text, len(codes)) for value in distinct]
        return np.asarray(np.array([*found, -1], dtype=np.int64)[place])
    taken = np.asarray(column.take(values, []))
    if column.kind == "date":
        days = taken.astype("datetime64[ns]").astype(np.int64) / _DAY
        return np.where(np.isnat(taken), np.nan, days)
    if column.kind == "text":
        return np.array([np.nan if text is None else float(len(text)) for text in taken])
    return np.asarray(taken, dtype=np.float64)


def summarise(column: Column, measured: np.ndarray, most: int = MOST_QUANTILES) -> Summary:
    """A column's values, as `measure` gives them, in a few numbers. most: quantiles."""
    if column.kind == "category":
        counts = np.bincount(measured[measured >= 0], minlength=len(column.categories))[: len(column.categories)]
        return Summary(len(measured), int((measured < 0).sum()), counts=tuple(counts.tolist()))
    present = np.sort(measured[~np.isnan(measured)])
    missing = len(measured) - len(present)
    if not len(present):
        return Summary(len(measured), missing)
    steps = int(np.clip(len(present) // ROWS_A_STEP, 1, most))
    quantiles = present[((np.arange(steps) + 0.5) / steps * len(present)).astype(np.int64)]
    below = np.searchsorted(present, quantiles, side="right") / len(present)
    return Summary(
        len(measured), missing, tuple(quantiles.tolist()), tuple(below.tolist()), deviation=float(present.std())
    )


def answer_columns(predicted: np.ndarray, *, problem: Problem, schema: Schema) -> list[tuple[Column, np.ndarray]]:
    """A model's output as columns to be watched: the answer, and each class's probability; of two, the second's."""
    if problem.kind == "clustering":
        labels = tuple(str(label) for label in np.unique(predicted))
        return [(Column("prediction", "category", labels), predicted.astype(object))]
    if not problem.classified:
        return [(Column("prediction", "number"), np.asarray(predicted, dtype=np.float64))]
    labels = tuple(str(text_of(label)) for label in schema.classes)
    said = np.array(labels, dtype=object)[predicted.argmax(axis=1)]
    watched = [1] if len(labels) == 2 else range(min(len(labels), MOST_CLASSES))
    shares = [(Column(f"p.{schema.classes[code]}", "number"), predicted[:, code]) for code in watched]
    return [(Column("prediction", "category", labels), said), *shares]


def _sample(frames: Sequence[pd.DataFrame], seed: int) -> pd.DataFrame:
    """At most 50,000 rows of all of them, in their order."""
    rows = sum(map(len, frames))
    if rows <= MOST_ROWS:
        return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    random = np.random.default_rng(seed)
    parts = [
        frame.take(np.sort(random.choice(len(frame), len(frame) * MOST_ROWS // rows, replace=False)))
        for frame in frames
    ]
    return pd.concat(parts, ignore_index=True)


def _told(column: Column, summary: Summary) -> dict[str, Any]:
    return {"column": asdict(column), "summary": asdict(summary)}


def _read(data: Mapping[str, Any]) -> tuple[Column, Summary]:
    column, summary = dict(data["column"]), dict(data["summary"])
    column["categories"] = tuple(column["categories"])
    summary |= {name: tuple(summary[name]) for name in ("quantiles", "below", "counts")}
    return Column(**column), Summary(**summary)
