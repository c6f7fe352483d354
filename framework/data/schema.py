"""The columns a model takes and the labels it answers with: read off a table once, held to ever after."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from cluster.user_error import UserError

ColumnKind = Literal["number", "boolean", "category", "text", "date"]


class SchemaError(UserError):
    """Rows that do not fit the schema: a column missing, unknown, or of another type."""


@dataclass(frozen=True)
class Column:
    """One feature column.

    kind: number and boolean become float64 (True = 1.0), category becomes `category` over `categories`,
        text (too many distinct values to be a category) object, date datetime64[ns]. Missing stays missing.
    example: a value of the training rows, JSON-able: what a form or a curl line starts from.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()
    whole: bool = False  # a number without fractions in training
    missing: bool = False  # had missing values in training
    example: Any = None


@dataclass(frozen=True)
class Schema:
    """The features in their order, and the target's labels in the order of their codes (none: no classes)."""

    columns: tuple[Column, ...]
    classes: tuple[Any, ...] = ()

    def conform(self, frame: pd.DataFrame, *, strict: bool = True) -> tuple[pd.DataFrame, list[str]]:
        """Raw rows as the models take them, and a sentence for each thing a reader should know.

        strict: an unknown column is an error (a request); else it is dropped (a file with its target still in).
        Warnings name categories never seen in training and missing values where training had none.
        Raises SchemaError naming every missing column, the unknown ones with the nearest name, or the first value
        that is not of its column's kind, with the row it stands in.
        """
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Schema":
        columns = tuple(Column(**{**c, "categories": tuple(c["categories"])}) for c in data["columns"])
        return cls(columns, tuple(data["classes"]))
