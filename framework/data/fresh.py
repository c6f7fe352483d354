"""Rows with answers that came after a model was trained: what it is held against again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from framework.data.data_error import DataError
from framework.data.frame import Truth
from framework.data.source import open_table
from framework.data.target import settle, weights
from framework.data.times import moments
from framework.problem import Problem

TOLD = 5  # labels named in a sentence


@dataclass(frozen=True)
class Fresh:
    """Raw rows and their answers. raw: as read, those that have an answer; truth: of the same rows in the same order.

    source: printable. remarks: a sentence for each thing that a reader should know.
    """

    raw: pd.DataFrame
    truth: Truth
    source: str
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.raw)


def answered(source: Any, problem: Problem, classes: Sequence[Any] = ()) -> Fresh:
    """The rows of a source that have an answer to this problem; of clustering all rows.

    source: what `source.read` takes. classes: the labels that a model knows, in the order of their codes.
    Rows that follow each other in time are put in its order. Raises DataError or ProblemError for a column that is
    missing, no row with an answer, a label that the model does not know, or a target that holds no numbers.
    """
    table = open_table(source)
    frame, remarks = table.frame, list(table.remarks)
    roles = {role: column for role, column in problem.special.items() if role in ("target", "time", "group", "series")}
    for role, column in roles.items():
        if column not in frame.columns:
            raise DataError(
                f"{table.source} has no column {column!r}, the model's {role}. To be compared, rows have to carry it."
            )
    keep = np.ones(len(frame), dtype=bool)
    if problem.target is not None:
        keep &= settle(frame[problem.target]).notna().to_numpy()
    if problem.time is not None:
        keep &= ~pd.isna(moments(frame[problem.time]))
    if not keep.any():
        raise DataError(f"{table.source} has no row with a value of {problem.target!r}: nothing can be compared.")
    if not keep.all():
        remarks.append(f"{int((~keep).sum()):,} rows without an answer or a moment were left out")
    frame = frame[keep].reset_index(drop=True)
    if problem.weight is not None and problem.weight not in frame.columns:
        remarks.append(f"the rows carry no weight {problem.weight!r}: each counts the same")
    timed = problem.time is not None and problem.kind != "forecast" and problem.group is None
    if timed:
        order = np.argsort(moments(frame[str(problem.time)]), kind="stable")
        frame = frame.iloc[order].reset_index(drop=True)
    truth = Truth(
        y=_answers(frame[problem.target], problem, classes, table.source) if problem.target is not None else None,
        weight=weights(frame[problem.weight]) if problem.weight in frame.columns else None,
        group=_codes(frame[problem.group]) if problem.group is not None else None,
        series=_codes(frame[problem.series]) if problem.kind == "forecast" and problem.series is not None else None,
        moment=_codes(pd.Series(moments(frame[str(problem.time)]))) if timed else None,
        ordered=timed,
        classes=len(classes),
    )
    return Fresh(frame, truth, table.source, tuple(remarks))


def _answers(column: pd.Series, problem: Problem, classes: Sequence[Any], source: str) -> np.ndarray:
    """Codes of the classes (int64) or values (float64), shape (rows,)."""
    values = settle(column)
    if not problem.classified:
        if values.dtype.kind not in "fiub":
            raise DataError(f"{source}: target {problem.target!r} holds no numbers; kind={problem.kind!r} needs them.")
        return values.to_numpy(dtype=np.float64)
    known = {_text(label): code for code, label in enumerate(classes)}
    told, labels = pd.factorize(values.to_numpy())
    unknown = [label for label in labels if _text(label) not in known]
    if unknown:
        named = ", ".join(map(repr, map(str, unknown[:TOLD])))
        raise DataError(
            f"{source}: target {problem.target!r} holds {named}, which the model does not know. "
            f"It knows: {', '.join(map(str, classes[:20]))}. Leave these rows out, or train anew."
        )
    return np.array([known[_text(label)] for label in labels], dtype=np.int64)[told]


def _text(label: Any) -> str:
    """A label as every file format would write it: 1, 1.0 and "1" are one, True and "true" too."""
    if isinstance(label, float | np.floating) and float(label).is_integer():
        label = int(label)
    text = str(label).strip()
    return text.casefold() if text.casefold() in ("true", "false") else text


def _codes(column: pd.Series) -> np.ndarray:
    """A code for each distinct value, in sorted order, int64; a missing value is one of them."""
    codes, uniques = pd.factorize(column, sort=True)
    return np.where(codes < 0, len(uniques), codes).astype(np.int64)
