"""The columns a model takes and the labels it answers with: read off a table once, held to ever after."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from framework.data.arrays import plain
from framework.data.column import Column, ColumnKind, SchemaError
from framework.data.describe import MOST_CATEGORIES, describe
from framework.problem import Problem

__all__ = ["Column", "ColumnKind", "Schema", "SchemaError", "survey"]

TOLD = 20  # unknown columns that are named, each with its nearest: more would take minutes
SMALL = 64  # up to so many rows the whole frame is turned into objects at once: a request, not a file


@dataclass(frozen=True)
class Schema:
    """The features in their order, and the target's labels in the order of their codes (none: no classes)."""

    columns: tuple[Column, ...]
    classes: tuple[Any, ...] = ()

    @classmethod
    def infer(cls, frame: pd.DataFrame, *, problem: Problem) -> "Schema":
        """The features of a raw table: all columns but the target, weight, group and ignored ones, and those that
        say nothing (`survey` tells why). Its `classes` are empty: they come with the target's codes.

        Raises SchemaError when no column is left, or one holds nested values.
        """
        return survey(frame, problem)[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def conform(self, frame: pd.DataFrame, *, strict: bool = True) -> tuple[pd.DataFrame, list[str]]:
        """Raw rows as the models take them, and a sentence for each thing a reader should know.

        strict: an unknown column is an error (a request); else it is dropped (a file with its target still in).
        Warnings name categories never seen in training and missing values where training had none.
        Numeric columns that are float64 already are shared with `frame`, not copied.
        Raises SchemaError naming every missing column, the unknown ones with the nearest name, or the first value
        that is not of its column's kind, with the row it stands in, counted from 1.
        """
        places = self._places(frame, strict=strict)
        warnings: list[str] = []
        taken: dict[str, Any] = {}
        if len(frame) <= SMALL:
            objects = frame.to_numpy(dtype=object)
            for column in self.columns:
                taken[column.name] = column.take(objects[:, places[column.name]], warnings)
        else:
            for column in self.columns:
                taken[column.name] = column.take(plain(frame.iloc[:, places[column.name]]), warnings)
        return pd.DataFrame(taken, index=pd.RangeIndex(len(frame)), copy=False), warnings

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Schema":
        columns = tuple(Column(**{**c, "categories": tuple(c["categories"])}) for c in data["columns"])
        return cls(columns, tuple(data["classes"]))

    def _places(self, frame: pd.DataFrame, *, strict: bool) -> dict[Any, int]:
        """Where each column stands in the frame."""
        names = frame.columns.tolist()
        places = {name: place for place, name in enumerate(names)}
        if len(places) < len(names):
            twice = next(name for place, name in enumerate(names) if places[name] != place)
            raise SchemaError(f"column {twice!r} is there twice; every column has a name of its own.")
        missing = [column.name for column in self.columns if column.name not in places]
        unknown = [] if not strict or len(names) == len(self.columns) - len(missing) else self._strangers(names)
        if not missing and not unknown:
            return places
        sentences = []
        if missing:
            sentences.append(f"missing column{'s'[: len(missing) > 1]}: {', '.join(map(repr, missing))}")
        if unknown:
            told = ", ".join(self._told(name) for name in unknown[:TOLD])
            told += f" and {len(unknown) - TOLD:,} more" if len(unknown) > TOLD else ""
            sentences.append(f"unknown column{'s'[: len(unknown) > 1]}: {told}")
        raise SchemaError(f"{'; '.join(sentences)}. The model takes: {', '.join(self.names)}.")

    def _strangers(self, names: list[Any]) -> list[Any]:
        known = set(self.names)
        return [name for name in names if name not in known]

    def _told(self, name: Any) -> str:
        near = difflib.get_close_matches(str(name), self.names, n=1)
        return f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name)


def survey(frame: pd.DataFrame, problem: Problem) -> tuple[Schema, dict[str, str]]:
    """The schema of a raw table, and why each column that could have been a feature is none: column → reason.

    Of a forecast's columns those with a role are features, and those known ahead: a row to be told has to carry them.
    Raises SchemaError when no column is left, one holds nested values, or one known ahead is a text or a date.
    """
    outside = {problem.target, problem.weight, *problem.ignored}
    roles = (problem.silo, problem.time, problem.series)
    if problem.group != problem.series:
        outside.add(problem.group)
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for place, name in enumerate(frame.columns):
        if name in outside:
            continue
        if problem.kind == "forecast" and name not in (*roles, *problem.ahead):
            left_out[name] = "not said to be known ahead (`ahead` says what is)"
            continue
        found = describe(
            name,
            plain(frame.iloc[:, place]),
            kept=name in roles,
            labels=name in (problem.silo, problem.series),
        )
        if isinstance(found, Column):
            if name in problem.ahead and found.kind in ("text", "date"):
                raise SchemaError(
                    f"ahead column {name!r} is a {found.kind}; a forecast takes numbers, yes or no, and categories of "
                    f"at most {MOST_CATEGORIES} values. Leave it out of ahead."
                )
            columns.append(found)
        else:
            left_out[name] = found
    if not columns:
        reasons = "; ".join(f"{name!r} {reason}" for name, reason in list(left_out.items())[:5])
        raise SchemaError(
            f"no feature is left: all are constant, missing or ids ({reasons}). Nothing can be learned from them."
            if left_out
            else "there is no feature column beside the target. Nothing can be learned from the target alone."
        )
    return Schema(tuple(columns)), left_out
