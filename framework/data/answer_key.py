"""The target of files read in pieces: how its raw values become answers, the same in every process."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain, present
from framework.data.column import Column
from framework.data.describe import describe
from framework.data.target import answers, settle
from framework.problem import Problem, ProblemError

MOST_VALUES = 20_000  # distinct values kept; more are a quantity's
LOOK_ROWS = 10_000  # as many rows as the kind of a question is read off


@dataclass(frozen=True)
class AnswerKey:
    """How values of the target are read.

    column: how its texts are; None where they are no texts, or plain labels.
    labels: the settled values in the order of their codes; none where the answer is no class.
    classes: the same as `Schema.classes` has them. counts: rows of each.
    """

    column: Column | None
    labels: tuple[Any, ...] = ()
    classes: tuple[Any, ...] = ()
    counts: tuple[int, ...] = ()

    def read(self, column: pd.Series) -> np.ndarray:
        """Raw values, all present, as codes (int64) or values (float64), shape (rows,)."""
        values = plain(column)
        if values.dtype.kind == "O":
            if self.column is not None:
                values = self.column.take(values, [])
            elif not any(isinstance(value, bool) for value in values):
                values = settle(pd.Series(values, name=column.name)).to_numpy()
        if not self.labels:
            return values.astype(np.float64)
        codes, uniques = pd.factorize(values)
        return np.array([self._codes[value] for value in uniques], dtype=np.int64)[codes]

    @cached_property
    def _codes(self) -> dict[Any, int]:
        return {label: code for code, label in enumerate(self.labels)}


class Seen:
    """The distinct values of a target column and how often each came, gathered block by block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: dict[Any, int] = {}
        self.many = False  # too many to be kept: the first ones are
        self.rows = 0  # with a value

    def add(self, column: pd.Series) -> np.ndarray:
        """Whether each row has a value, shape (rows,), bool. Raises ProblemError for an infinite one."""
        values = plain(column)
        there = present(values)
        values = values[there]
        self.rows += len(values)
        if values.dtype.kind == "f" and np.isinf(values).any():
            raise ProblemError(f"target {self.name!r} holds an infinite value; answers must be finite. Mend the row.")
        if not self.many:
            codes, uniques = pd.factorize(values)
            self._count(zip(uniques.tolist(), np.bincount(codes, minlength=len(uniques)).tolist(), strict=True))
        return there

    def join(self, further: "Seen") -> None:
        """Adds what was seen in rows further down."""
        self.rows += further.rows
        if not self.many:
            self._count(further.counts.items())

    def _count(self, found: Iterable[tuple[Any, int]]) -> None:
        for value, count in found:
            self.counts[value] = self.counts.get(value, 0) + count
        self.many = len(self.counts) > MOST_VALUES

    def look(self) -> pd.Series:
        """The distinct values settled, each as often as its share of a few thousand rows asks, twice at least."""
        shares = np.array(list(self.counts.values())) / max(1, sum(self.counts.values()))
        often = np.maximum(2, np.rint(shares * min(self.rows, LOOK_ROWS))).astype(int)
        return settle(pd.Series(self._objects(), name=self.name).repeat(often.tolist()).reset_index(drop=True))

    def key(self, problem: Problem) -> AnswerKey:
        """Raises ProblemError when the values contradict the problem, as `target.answers` tells it."""
        values = self._objects()
        raw = pd.Series(values, name=self.name)
        told = describe(self.name, values, kept=True) if values.dtype.kind == "O" else None
        read = isinstance(told, Column) and told.kind in ("number", "date") and not told.loose
        settled = settle(raw)
        often = [min(2, count) for count in self.counts.values()]
        _, classes = answers(settled.repeat(often).reset_index(drop=True), problem)
        column = told if read and isinstance(told, Column) else None
        if not classes:
            return AnswerKey(column)
        codes, labels = pd.factorize(settled.to_numpy(), sort=True)
        counts = np.bincount(codes, weights=list(self.counts.values())).astype(int)
        return AnswerKey(column, tuple(labels.tolist()), classes, tuple(counts.tolist()))

    def _objects(self) -> np.ndarray:
        """The distinct values as an array of their own type."""
        return plain(pd.Series(list(self.counts), name=self.name))
