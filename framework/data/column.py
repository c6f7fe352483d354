"""One feature column: what it holds, and raw values turned into it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.data.arrays import distinct
from framework.data.values import boolean_of, date_of, number_of, text_of

ColumnKind = Literal["number", "boolean", "category", "text", "date"]

_from_codes: Any = pd.Categorical.from_codes  # its stubs know neither arrays nor `validate`
FEW = 16  # up to so many values a loop is faster than counting the distinct ones first
TOLD = 5  # values named in warnings, per column


class SchemaError(UserError):
    """Rows that do not fit the schema: a column missing, unknown, or of another type."""


@dataclass(frozen=True)
class Column:
    """One feature column.

    kind: number and boolean become float64 (True = 1.0), category becomes `category` over `categories`,
        text (too many distinct values to be a category) object, date datetime64[ns]. Missing stays missing.
    example: a value of the training rows, JSON-able: what a form or a curl line starts from.
    written: how texts of it were written in training: a date's strptime format, or "," for a decimal comma.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()
    whole: bool = False  # a number without fractions in training
    missing: bool = False  # had missing values in training
    example: Any = None
    written: str = ""
    loose: bool = False  # a few texts of training were no date: they count as missing, then and now

    def take(self, values: np.ndarray, warnings: list[str]) -> Any:
        """Raw values, a plain array of shape (rows,), as this column; a sentence for what a reader should know
        is added to `warnings`.

        Raises SchemaError with the first value that does not fit and the row it stands in, counted from 1.
        """
        if not len(values):
            values = np.empty(0, dtype=object)
        if self.kind == "category":
            codes = self._categorised(values, warnings)
            self._warn_of_gaps(codes == -1 if not self.missing else None, warnings)
            return _from_codes(codes, dtype=_dtype(self.categories), validate=False)
        taken = {"number": self._numbers, "boolean": self._numbers, "date": self._dates, "text": self._texts}[
            self.kind
        ](values, warnings)
        if not self.missing:
            self._warn_of_gaps(np.isnan(taken) if taken.dtype.kind == "f" else pd.isna(taken), warnings)
        return taken

    def _numbers(self, values: np.ndarray, warnings: list[str]) -> np.ndarray:
        if values.dtype.kind not in "fiub":
            if values.dtype.kind == "M":
                raise self._misfit(values[0], 0)
            scalar = boolean_of if self.kind == "boolean" else partial(number_of, comma=self.written == ",")
            taken = np.asarray(self._each(values, scalar, np.nan), dtype=np.float64)
        else:
            taken = values.astype(np.float64, copy=False)
            if self.kind == "boolean":
                strange = ~((taken == 0) | (taken == 1) | np.isnan(taken))
                if strange.any():
                    raise self._misfit(values[strange.argmax()].item(), int(strange.argmax()))
        with np.errstate(over="ignore", invalid="ignore"):
            settled = bool(np.isfinite(taken.sum()))
        if not settled and (infinite := np.isinf(taken)).any():
            raise SchemaError(
                f"column {self.name!r} holds an infinite value in row {int(infinite.argmax()) + 1}; "
                f"numbers must be finite. Mend the row, or leave the value empty."
            )
        return taken

    def _dates(self, values: np.ndarray, warnings: list[str]) -> np.ndarray:
        if values.dtype.kind == "M":
            return values
        if values.dtype.kind == "f" and np.isnan(values).all():
            return np.full(len(values), np.datetime64("NaT", "ns"))
        if values.dtype.kind != "O":
            raise self._misfit(values[0].item(), 0)
        lost: list[Any] = []
        nothing = np.datetime64("NaT", "ns")

        def scalar(value: Any) -> np.datetime64:
            try:
                return date_of(value, self.written)
            except ValueError:
                if not self.loose or not isinstance(value, str):
                    raise
                lost.append(value)
                return nothing

        taken = np.asarray(self._each(values, scalar, nothing), dtype="datetime64[ns]")
        warnings += [f"column {self.name!r}: {v!r} is no date; scored as missing" for v in dict.fromkeys(lost[:TOLD])]
        return taken

    def _texts(self, values: np.ndarray, warnings: list[str]) -> np.ndarray:
        objects = values if values.dtype.kind == "O" else values.astype(object)
        taken = np.empty(len(values), dtype=object)
        taken[:] = self._each(objects, text_of, None)
        return taken

    def _categorised(self, values: np.ndarray, warnings: list[str]) -> np.ndarray:
        codes = _codes(self.categories)
        strangers: dict[str, None] = {}

        def scalar(value: Any) -> int:
            text = text_of(value)
            if text is None:
                return -1
            code = codes.get(text)
            if code is None:
                strangers[text] = None
                return -1
            return code

        objects = values if values.dtype.kind == "O" else values.astype(object)
        taken = np.asarray(self._each(objects, scalar, -1), dtype=np.int8 if len(codes) < 128 else np.int32)
        unseen = list(strangers)
        warnings += [
            f"column {self.name!r}: value {text!r} was never seen in training; scored as missing"
            for text in unseen[:TOLD]
        ]
        if len(unseen) > TOLD:
            warnings.append(f"column {self.name!r}: {len(unseen) - TOLD} more values were never seen in training")
        return taken

    def _each(self, values: np.ndarray, scalar: Callable[[Any], Any], missing: Any) -> Any:
        """`scalar` of every value; computed once per distinct value where there are many."""
        if len(values) <= FEW:
            return [self._try(scalar, value, row) for row, value in enumerate(values)]
        try:
            codes, uniques = distinct(values)
        except TypeError:
            return [self._try(scalar, value, row) for row, value in enumerate(values)]
        found = [self._try(scalar, value, (codes, code)) for code, value in enumerate(uniques)]
        answers = np.empty(len(uniques) + 1, dtype=object)
        answers[:-1] = found
        answers[-1] = missing
        return _settle(answers)[codes]

    def _try(self, scalar: Callable[[Any], Any], value: Any, row: Any) -> Any:
        try:
            return scalar(value)
        except (ValueError, OverflowError) as error:
            place = row if isinstance(row, int) else int((row[0] == row[1]).argmax())
            raise self._misfit(value, place) from error

    def _misfit(self, value: Any, row: int) -> SchemaError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
        wanted = {"number": "a number", "boolean": "true or false", "date": "a date"}.get(self.kind, "a single text")
        hint = f", such as {self.example!r}" if self.example is not None else ""
        return SchemaError(f"column {self.name!r} takes {wanted}{hint}; row {row + 1} holds {shown}.")

    def _warn_of_gaps(self, gaps: np.ndarray | None, warnings: list[str]) -> None:
        if gaps is None or not gaps.any():
            return
        if any(sentence.startswith(f"column {self.name!r}: ") for sentence in warnings):
            return
        where = "" if len(gaps) == 1 else f" in {int(gaps.sum())} of {len(gaps)} rows"
        warnings.append(f"column {self.name!r}: the value is missing{where}, which training never saw")


def _settle(answers: np.ndarray) -> np.ndarray:
    """The answers as an array of numbers or dates where they are such: quicker to spread over the rows."""
    if isinstance(answers[-1], float):
        return answers.astype(np.float64)
    if isinstance(answers[-1], int):
        return answers.astype(np.int32)
    if isinstance(answers[-1], np.datetime64):
        return answers.astype("datetime64[ns]")
    return answers


@lru_cache(maxsize=4096)
def _dtype(categories: tuple[str, ...]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Index(categories, dtype=object))


@lru_cache(maxsize=4096)
def _codes(categories: tuple[str, ...]) -> dict[str, int]:
    return {category: code for code, category in enumerate(categories)}
