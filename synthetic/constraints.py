"""What must hold in every synthetic row. Each says so of whole tables, of the rows learned from first of all."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.data.arrays import plain, present
from framework.data.data_error import nearest

CLOSE = 1e-9  # relative: sums of decimal fractions


class ConstraintError(UserError):
    """A constraint that the rows learned from break, that contradicts a condition, or that names no column."""


@runtime_checkable
class Constraint(Protocol):
    """A frozen dataclass: its fields are what it is about."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those it speaks of."""
        ...

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether it holds in each row, shape (rows,), bool."""
        ...


@dataclass(frozen=True)
class FixedCombinations:
    """Values of these columns stand together only as they did in a row learned from: a city and its postcode."""

    columns: tuple[str, ...]

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        """Always, of itself: the columns are drawn as one (`layout.Layout`)."""
        return np.ones(len(frame), dtype=bool)


@dataclass(frozen=True)
class OneHot:
    """Exactly one of these columns of zeros and ones is one."""

    columns: tuple[str, ...]

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        ones = np.stack([frame[name].to_numpy(dtype=np.float64) for name in self.columns], axis=1)
        return np.asarray((np.isin(ones, (0.0, 1.0)).all(axis=1)) & (ones.sum(axis=1) == 1))


@dataclass(frozen=True)
class Inequality:
    """`low` ≤ `high` (strict: <), of numbers or dates; holds where either is missing."""

    low: str
    high: str
    strict: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.low, self.high

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        low, high = plain(frame[self.low]), plain(frame[self.high])
        fine = low < high if self.strict else low <= high
        return np.asarray(fine | ~present(low) | ~present(high), dtype=bool)


@dataclass(frozen=True)
class Range:
    """`least` ≤ column ≤ `most`; None: no bound. Holds where the value is missing."""

    column: str
    least: Any = None
    most: Any = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        values = plain(frame[self.column])
        fine = np.ones(len(values), dtype=bool)
        for bound, within in ((self.least, np.greater_equal), (self.most, np.less_equal)):
            if bound is not None:
                fine &= within(values, np.datetime64(pd.Timestamp(bound)) if values.dtype.kind == "M" else bound)
        return np.asarray(fine | ~present(values))


@dataclass(frozen=True)
class Sum:
    """`total` is the sum of `parts`; it is computed, never drawn. Missing where a part is."""

    parts: tuple[str, ...]
    total: str

    @property
    def columns(self) -> tuple[str, ...]:
        return *self.parts, self.total

    def of(self, frame: pd.DataFrame) -> np.ndarray:
        """The sum of each row's parts, float64, shape (rows,)."""
        return np.asarray(frame[list(self.parts)].to_numpy(dtype=np.float64).sum(axis=1))

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        total = frame[self.total].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(np.isclose(total, self.of(frame), rtol=CLOSE, atol=CLOSE, equal_nan=True))


@dataclass(frozen=True)
class ConditionalNull:
    """`column` is missing where, and only where, `when` is one of `values`."""

    column: str
    when: str
    values: tuple[Any, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.column, self.when

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(frame[self.column].isna().to_numpy() == frame[self.when].isin(self.values).to_numpy())


@dataclass(frozen=True)
class Predicate:
    """Whatever `test` says: a function of a table to a truth value for each row.

    It is a piece of code: it is not saved with a model, and has to be given again to who opens one.
    """

    columns: tuple[str, ...]
    test: Callable[[pd.DataFrame], Any]
    name: str = "predicate"

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        told = np.asarray(self.test(frame), dtype=bool)
        if told.shape != (len(frame),):
            raise ConstraintError(f"{self.name} told {told.shape} truth values of {len(frame)} rows; give one a row.")
        return told


KINDS: dict[str, Callable[..., Constraint]] = {
    each.__name__: each for each in (FixedCombinations, OneHot, Inequality, Range, Sum, ConditionalNull)
}


def called(constraint: Constraint) -> str:
    """A constraint as a person writes it: Inequality(low='MonthlyCharges', high='TotalCharges')."""
    if isinstance(constraint, Predicate):
        return f"Predicate {constraint.name!r}"
    told = ", ".join(
        f"{each.name}={value!r}"
        for each in fields(constraint)  # type: ignore[arg-type]
        if (value := getattr(constraint, each.name)) != each.default
    )
    return f"{type(constraint).__name__}({told})"


def check(constraints: tuple[Constraint, ...], frame: pd.DataFrame) -> None:
    """Raises ConstraintError naming the first constraint that names no column or is broken by a row of `frame`:
    what real rows break cannot be asked of synthetic ones."""
    for constraint in constraints:
        for name in constraint.columns:
            if name not in frame.columns:
                hint = nearest(name, map(str, frame.columns), what="columns")
                raise ConstraintError(f"{called(constraint)} names column {name!r}, which is not there. {hint}")
        try:
            broken = ~constraint.holds(frame)
        except (TypeError, ValueError) as error:
            raise ConstraintError(f"{called(constraint)} cannot be asked of these columns ({error}).") from error
        if broken.any():
            row = int(broken.argmax())
            shown = {name: frame[name].iloc[row] for name in constraint.columns}
            told = ", ".join(f"{name}={value!s}" for name, value in shown.items())
            raise ConstraintError(
                f"{called(constraint)} is broken by {int(broken.sum()):,} of {len(frame):,} rows to learn from, first "
                f"by row {row + 1} ({told}). Mend these rows, or leave the constraint out."
            )


def to_json(constraints: tuple[Constraint, ...]) -> list[dict[str, Any]]:
    """Those that are plain data; predicates are left out."""
    return [
        {"kind": type(each).__name__, **{one.name: getattr(each, one.name) for one in fields(each)}}  # type: ignore[arg-type]
        for each in constraints
        if type(each).__name__ in KINDS
    ]


def from_json(told: list[dict[str, Any]]) -> tuple[Constraint, ...]:
    """What `to_json` told."""
    made: list[Constraint] = []
    for facts in told:
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
        }
        made.append(KINDS[given.pop("kind")](**given))
    return tuple(made)
