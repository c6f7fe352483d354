"""Where a silo's rows come from. Both kinds are opened inside the silo's own process."""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from federated.job import AnyJob
from federated.policy import USUAL, Policy
from framework.data.arrays import plain
from framework.data.column import Column, ColumnKind, SchemaError
from framework.data.describe import describe
from framework.data.frame import Frame, Truth
from framework.data.source import open_table
from framework.data.values import text_of


class SourceError(UserError):
    """Rows that are not what was asked for; the sentence leaves the silo, and names no value of any row."""


class Source(Protocol):
    """name: the silo's. policy: what it lets others do."""

    @property
    def name(self) -> str: ...

    @property
    def policy(self) -> Policy: ...

    def rows(self, job: AnyJob) -> tuple[Frame, Frame]:
        """Rows to learn from and rows to stop by, with the job's columns.

        Raises SourceError naming the silo and the column that is missing or of another kind.
        """
        ...


@dataclass(frozen=True)
class Held:
    """Rows that were a fold's: a simulation's silo. train and valid have one schema, answers coded."""

    name: str
    train: Frame = field(repr=False)
    valid: Frame = field(repr=False)
    policy: Policy = USUAL

    def rows(self, job: AnyJob) -> tuple[Frame, Frame]:
        _check_names(self.name, job, self.train.X.columns)
        names = [name for name, _ in job.columns]
        return replace(self.train, X=self.train.X[names]), replace(self.valid, X=self.valid.X[names])


@dataclass(frozen=True)
class Filed:
    """Rows of a table that only the silo reads: a path, or what else `open_table` takes.

    valid: the share of them to stop by.
    """

    name: str
    table: str | pd.DataFrame = field(repr=False)
    policy: Policy = USUAL
    valid: float = 0.2

    def rows(self, job: AnyJob) -> tuple[Frame, Frame]:
        frame = open_table(self.table).frame
        _check_names(self.name, job, frame.columns, target=job.target)
        y = self._answers(job, frame[job.target])
        frame, y = frame[np.isfinite(y)], y[np.isfinite(y)]
        X = pd.DataFrame({name: self._column(name, kind, frame[name]) for name, kind in job.columns})
        X.index = pd.RangeIndex(len(X))
        answers = y.astype(np.int64) if job.labels else y
        every = Frame(X, Truth(y=answers, features=X.shape[1], classes=len(job.labels)))
        order = np.random.default_rng(job.seed).permutation(len(every))
        kept = round(self.valid * len(every))
        return every.take(np.sort(order[kept:])), every.take(np.sort(order[:kept]))

    def _answers(self, job: AnyJob, values: pd.Series) -> np.ndarray:
        if not job.labels:
            return np.asarray(self._column(job.target, "number", values), dtype=np.float64)
        codes = {label: float(code) for code, label in enumerate(job.labels)}
        texts = [text_of(value) for value in plain(values)]
        if any(text is not None and text not in codes for text in texts):
            raise SourceError(f"silo {self.name!r} has answers in {job.target!r} that are none of the asked labels.")
        return np.array([np.nan if text is None else codes[text] for text in texts])

    def _column(self, name: str, kind: ColumnKind, values: pd.Series) -> Any:
        array = plain(values)
        try:
            found = describe(name, array, kept=True, labels=kind == "category")
            column = found if isinstance(found, Column) and kind in ("date", "category") else Column(name, kind)
            if column.kind != kind:
                raise SourceError(f"silo {self.name!r} holds no {kind} in its column {name!r}.")
            return column.take(array, [])
        except SchemaError:  # its sentence would tell a value
            raise SourceError(f"silo {self.name!r} holds no {kind} in its column {name!r}.") from None


def _check_names(silo: str, job: AnyJob, there: pd.Index, *, target: str | None = None) -> None:
    asked = [name for name, _ in job.columns] + ([target] if target else [])
    if missing := [name for name in asked if name not in there]:
        raise SourceError(f"silo {silo!r} has no column {', '.join(map(repr, missing))}.")
