"""The target column as answers: codes of classes or numbers; and what is wrong with it, told before any work starts."""

from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.data.column import Column
from framework.data.describe import describe
from framework.data.values import text_of
from framework.problem import MOST_CLASSES, Problem, ProblemError


def settle(column: pd.Series) -> pd.Series:
    """The target with its own values: numbers float64 (also those written as text), booleans, dates, or stripped
    texts with None where one is missing.

    Raises ProblemError naming the first infinite value.
    """
    values = plain(column)
    name = str(column.name)
    if values.dtype.kind == "O":
        told = describe(name, values, kept=True)
        if isinstance(told, Column) and told.kind in ("number", "date") and not told.loose:
            values = told.take(values, [])
        elif not any(isinstance(value, bool) for value in values):
            values = np.array([text_of(value) for value in values], dtype=object)
    if values.dtype.kind == "f" and (infinite := np.isinf(values)).any():
        raise ProblemError(
            f"target {name!r} holds an infinite value in row {int(infinite.argmax()) + 1}; answers must be finite. "
            f"Mend the row, or leave the value empty and it is dropped."
        )
    return pd.Series(values, index=column.index, name=column.name, copy=False)


def answers(target: pd.Series, problem: Problem) -> tuple[np.ndarray, tuple[Any, ...]]:
    """y and the classes: int64 codes with the labels in sorted order, or float64 values with no classes.

    target: settled, without missing values; its index tells the row in the source.
    Raises ProblemError when it is constant, a class has one row, or the values contradict the problem's kind.
    """
    values = target.to_numpy()
    if values.dtype.kind == "M":
        raise ProblemError(
            f"target {problem.target!r} holds dates; kind={problem.kind!r} needs "
            f"{'labels' if problem.classified else 'numbers'}. Pass another target, or turn it into a number."
        )
    codes, uniques = pd.factorize(values, sort=True)
    if len(uniques) == 1:
        raise ProblemError(
            f"target {problem.target!r} is constant: every row is {_label(uniques[0])!r}. Nothing can be learned."
        )
    if not problem.classified:
        return _numbers(target, problem), ()
    numeric = values.dtype.kind in "fiu"
    if problem.kind == "binary" and len(uniques) != 2:
        fits = "regression" if numeric and len(uniques) > MOST_CLASSES else "multiclass"
        raise ProblemError(
            f"target {problem.target!r} has {len(uniques):,} values; kind='binary' needs 2. Pass kind={fits!r}."
        )
    fractions = values.dtype.kind == "f" and bool((values != np.floor(values)).any())
    if numeric and (len(uniques) > 10 * MOST_CLASSES or (len(uniques) > MOST_CLASSES and fractions)):
        raise ProblemError(
            f"target {problem.target!r} has {len(uniques):,} distinct numbers; kind={problem.kind!r} takes labels. "
            f"Pass kind='regression'."
        )
    counts = np.bincount(codes)
    single = np.flatnonzero(counts == 1)
    if len(single):
        more = f", and so have {len(single) - 1:,} other classes" if len(single) > 1 else ""
        raise ProblemError(
            f"class {_label(uniques[single[0]])!r} of target {problem.target!r} has one row{more}; a class needs at "
            f"least 2, one to learn from and one to be tested on. Drop or merge it"
            f"{', or pass kind=' + repr('regression') if numeric else ''}."
        )
    return codes.astype(np.int64), tuple(_label(value) for value in uniques)


def weights(column: pd.Series) -> np.ndarray:
    """A weight column as float64, shape (rows,). Raises ProblemError for missing, negative, infinite or all zero."""
    told = describe(str(column.name), plain(column), kept=True)
    if isinstance(told, str) or told.kind not in ("number", "boolean"):
        raise ProblemError(f"weight column {column.name!r} holds no numbers. Pass a column of numbers ≥ 0.")
    values = plain(column)
    numbers: np.ndarray = values.astype(np.float64) if values.dtype.kind in "fiub" else told.take(values, [])
    with np.errstate(invalid="ignore"):
        odd = ~(numbers >= 0) | np.isinf(numbers)
    if odd.any():
        row = int(odd.argmax())
        shown = "no value" if np.isnan(numbers[row]) else f"{numbers[row]:g}"
        raise ProblemError(
            f"weight column {column.name!r} has {shown} in row {row + 1}; a weight is a finite number ≥ 0."
        )
    if not numbers.any():
        raise ProblemError(f"weight column {column.name!r} is 0 in every row; then no row counts.")
    return numbers


def _numbers(target: pd.Series, problem: Problem) -> np.ndarray:
    values = target.to_numpy()
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    if all(isinstance(value, bool) for value in values):
        return values.astype(np.float64)
    for row, value in zip(target.index, values, strict=True):
        try:
            float(value)
        except ValueError:
            kinds = "binary" if len(set(values)) == 2 else "multiclass"
            raise ProblemError(
                f"target {problem.target!r} holds text ({value!r} in row {int(row) + 1}); "
                f"kind={problem.kind!r} needs numbers. Pass kind={kinds!r}, or mend that row."
            ) from None
    raise ProblemError(
        f"target {problem.target!r} holds codes with leading zeros; kind={problem.kind!r} needs numbers."
    )


def _label(value: Any) -> Any:
    """A class as a Python value: whole numbers without a fraction."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    return value.item() if isinstance(value, np.generic) else value
