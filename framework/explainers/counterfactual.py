"""What would have to be otherwise for another answer: NICE (Brughmans, Leyman & Martens 2024), a small search.

From a row towards the nearest observed rows that are answered otherwise, one column's value at a time, until the answer
changes; then every change that is not needed is taken back. Hence few columns, values that were observed together in
one row, and only answers that do change. (DiCE refuses rows with gaps, and asks for a model in one of its own shapes.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.column import Column
from framework.data.schema import Schema
from framework.explainers.gower import Gower, same

NEAR = 4  # observed rows that are walked towards
SHOWN = 2  # of a row, at most, each changing other columns


@dataclass(frozen=True)
class Counterfactual:
    """Of the row at this place of the frame. changes: column → (its value now, the value it would take); before, after:
    the answers.

    distance: the mean over columns of how far each is moved, as a share of what was observed (Gower 1971).
    row: the changed row, conformed.
    """

    place: int
    before: str
    after: str
    changes: dict[str, tuple[Any, Any]]
    distance: float
    row: pd.DataFrame = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        changes = {
            name: [str(value) if isinstance(value, pd.Timestamp) else value for value in pair]
            for name, pair in self.changes.items()
        }
        return {"row": self.place, "before": self.before, "after": self.after, "changes": changes,
                "distance": self.distance}  # fmt: skip

    def __str__(self) -> str:
        told = ", ".join(f"{name} {_said(now)} → {_said(then)}" for name, (now, then) in self.changes.items())
        return f"row {self.place}: {self.before} → {self.after} with {told}"


@dataclass(frozen=True)
class Answers:
    """What counts as the same answer: a class; of values the lower, middle or upper third of what the model says.

    thirds: the two bounds between them; None for classes.
    """

    classes: tuple[str, ...]
    thirds: tuple[float, float] | None = None

    @classmethod
    def of(cls, model: Model, schema: Schema, pool: pd.DataFrame) -> "Answers":
        if schema.classes:
            return cls(tuple(str(label) for label in schema.classes))
        low, high = np.quantile(model.predict(pool), [1 / 3, 2 / 3])
        return cls((f"up to {low:.4g}", f"{low:.4g} to {high:.4g}", f"above {high:.4g}"), (float(low), float(high)))

    def codes(self, told: np.ndarray) -> np.ndarray:
        """The answer of each prediction, int, shape (rows,)."""
        if self.thirds is None:
            return np.asarray(told.argmax(axis=1))
        return np.searchsorted(np.asarray(self.thirds), told, side="left")

    def nearness(self, told: np.ndarray, code: int) -> np.ndarray:
        """How far each prediction is on the way to an answer, shape (rows,); more is nearer."""
        if self.thirds is None:
            return np.asarray(told[:, code])
        low, high = self.thirds
        return np.asarray((-told, -np.abs(told - (low + high) / 2), told)[code])

    def said(self, told: np.ndarray, code: int) -> str:
        """One prediction, shape (1, classes) or (1,), in words."""
        if self.thirds is None:
            return f"{self.classes[code]} ({told[0, code]:.0%})"
        return f"{told[0]:.4g}"


def counterfactuals(
    model: Model, X: pd.DataFrame, *, schema: Schema, pool: pd.DataFrame, fixed: Sequence[str]
) -> list[tuple[pd.DataFrame, list[Counterfactual]]]:
    """Of each row, up to two; none where nothing observed is answered otherwise, or `fixed` columns forbid it.

    pool: observed rows whose values may be taken. fixed: columns that no advice may change, such as an age.
    """
    answers = Answers.of(model, schema, pool)
    known = answers.codes(np.asarray(model.predict(pool)))
    free = [name for name in schema.names if name not in fixed]
    search = _Search(model, schema, answers, Gower.learn(pool), pool, known, free)
    rows = (X.iloc[[place]].reset_index(drop=True) for place in range(len(X)))
    return [(row, search.of(row) if free else []) for row in rows]


@dataclass(frozen=True)
class _Search:
    """known: the answer of each row of the pool. free: the columns that may be changed."""

    model: Model
    schema: Schema
    answers: Answers
    gower: Gower
    pool: pd.DataFrame
    known: np.ndarray
    free: list[str]

    def of(self, row: pd.DataFrame) -> list[Counterfactual]:
        """Of one row, the fewest changes first."""
        told = np.asarray(self.model.predict(row))
        now = int(self.answers.codes(told)[0])
        others = np.flatnonzero(self.known != now)
        apart = self.gower.apart(row[self.free], self.pool[self.free].iloc[others]).mean(axis=1)
        found: list[Counterfactual] = []
        for place in others[np.argsort(apart, kind="stable")][:NEAR]:
            goal = self.pool.iloc[[place]].reset_index(drop=True)
            changed = self._walk(row, goal, int(self.known[place]))
            if not changed or any(set(changed) == set(each.changes) for each in found):
                continue
            there = _mixed(row, goal, [changed])
            after = np.asarray(self.model.predict(there))
            code = int(self.answers.codes(after)[0])
            columns = {column.name: column for column in self.schema.columns}
            pairs = {
                name: (_natural(columns[name], row[name].iloc[0]), _natural(columns[name], goal[name].iloc[0]))
                for name in changed
            }
            said = self.answers.said(told, now), self.answers.said(after, code)
            found.append(Counterfactual(0, *said, pairs, float(self.gower.apart(row, there).mean()), there))
        return sorted(found, key=lambda each: (len(each.changes), each.distance))[:SHOWN]

    def _walk(self, row: pd.DataFrame, goal: pd.DataFrame, wanted: int) -> list[str]:
        """The columns whose values are taken of the goal so that the answer is as there; [] where no taking does."""
        left = [name for name in self.free if not same(row[name].iloc[0], goal[name].iloc[0])]
        taken: list[str] = []
        reached = False
        while left and not reached:
            told = np.asarray(self.model.predict(_mixed(row, goal, [[*taken, name] for name in left])))
            best = int(np.argmax(self.answers.nearness(told, wanted)))
            reached = bool(self.answers.codes(told)[best] == wanted)
            taken.append(left.pop(best))
        if not reached:
            return []
        for name in list(taken):  # what came first may not be needed any more
            without = [each for each in taken if each != name]
            if without and self._reaches(_mixed(row, goal, [without]), wanted):
                taken = without
        return taken

    def _reaches(self, row: pd.DataFrame, wanted: int) -> bool:
        return bool(self.answers.codes(np.asarray(self.model.predict(row)))[0] == wanted)


def _mixed(row: pd.DataFrame, goal: pd.DataFrame, taken: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The row once for each list of columns, these with the goal's values."""
    both = pd.concat([row, goal], ignore_index=True)
    columns = {name: both[name].take([int(name in names) for names in taken]).array for name in both.columns}
    return pd.DataFrame(columns, copy=False)


def _natural(column: Column, value: Any) -> Any:
    """A conformed value as a person wrote it: a whole number, yes or no, a date; None where it is missing."""
    if pd.isna(value):
        return None
    if column.kind == "boolean":
        return bool(value)
    if column.kind == "number":
        return int(value) if column.whole else float(value)
    return value


def _said(value: Any) -> str:
    if value is None:
        return "(missing)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def numbered(
    blocks: Sequence[tuple[np.ndarray, list[tuple[pd.DataFrame, list[Counterfactual]]]]],
) -> tuple[tuple[Counterfactual, ...], int, int]:
    """What tasks found, each with its row's place; how many rows were asked about, and how many have none."""
    rows = [(int(place), found) for places, told in blocks for place, (_, found) in zip(places, told, strict=True)]
    every = tuple(replace(each, place=place) for place, found in rows for each in found)
    return every, len(rows), sum(not found for _, found in rows)
