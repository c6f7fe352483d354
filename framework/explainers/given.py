"""What is to be explained, and on which rows: opened, conformed, and their answers told in the model's own codes."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from cluster.user_error import UserError
from framework.data.frame import Frame, Truth
from framework.data.fresh import answered
from framework.data.source import read
from framework.data.target import settle
from framework.predictor import Predictor


class ExplanationError(UserError):
    """A method that is unknown, nothing to explain with, or rows that lack what a method needs."""


class Won(Protocol):
    """A Winner, or anything that holds a predictor."""

    @property
    def predictor(self) -> Predictor: ...


Explained = Won | Predictor | Path | str  # what `explain` takes: the last two a model folder or a models:/ address


@dataclass(frozen=True)
class Given:
    """columns: of the same rows all that slices may be made by, also columns that the model does not take.

    remarks: what a reader should know of the rows.
    """

    predictor: Predictor
    frame: Frame
    columns: pd.DataFrame = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether the rows say what is true; clustering needs no answers, but the rows' positions."""
        truth = self.frame.truth
        return truth.y is not None or truth.space is not None

    def check_column(self, name: str, *, asked: str, among: Iterable[str] | None = None) -> None:
        """Raises ExplanationError where the rows have no such column, with the nearest name."""
        known = list(self.columns.columns if among is None else among)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
            raise ExplanationError(f"{asked} names column {name!r}, which the rows do not have. {hint}")


def given(explained: Explained, rows: Frame | pd.DataFrame | Path | str, *, store: str | None = None) -> Given:
    """The predictor, and the rows as it takes them.

    rows: a frame conformed already, as of a split; raw rows; or a source that `source.read` takes. Raw rows without an
    answer are left out where others have one. store: the registry's address.
    Raises ExplanationError for no rows; DataError for labels that the model does not know; SchemaError, RegistryError,
    ModelFolderError.
    """
    predictor = _predictor(explained, store)
    if isinstance(rows, Frame):
        _check_some(len(rows))
        return Given(predictor, rows, rows.X)
    raw = rows if isinstance(rows, pd.DataFrame) and not len(rows) else read(rows)
    _check_some(len(raw))
    problem, schema = predictor.problem, predictor.schema
    truth, remarks = Truth(classes=len(schema.classes)), []
    if problem.target in raw.columns and settle(raw[problem.target]).notna().any():
        fresh = answered(raw, problem, schema.classes)
        raw, truth, remarks = fresh.raw, fresh.truth, [*fresh.remarks]
    X, warnings = schema.conform(raw, strict=False)
    apart = [name for name in raw.columns if name not in X.columns and name != problem.target]
    columns = pd.concat([X, raw[apart].reset_index(drop=True)], axis=1)
    frame = Frame(X, replace(truth, features=X.shape[1]), truth.group)
    return Given(predictor, frame, columns, tuple(f"{remark}." for remark in (*remarks, *warnings)))


def _predictor(explained: Explained, store: str | None) -> Predictor:
    if isinstance(explained, Path | str):
        from framework.registry import resolve

        return Predictor.open(resolve(explained, store=store))
    return explained if isinstance(explained, Predictor) else explained.predictor


def _check_some(rows: int) -> None:
    if rows == 0:
        raise ExplanationError("there are no rows to explain the model by. Pass a frame that has some.")


def check_methods(methods: Sequence[str], known: Sequence[str]) -> None:
    """Raises ExplanationError for the first that is unknown."""
    if unknown := [method for method in methods if method not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ExplanationError(f"method {unknown[0]!r} is unknown; there are: {', '.join(known)}.{hint}")
