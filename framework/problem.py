"""The question: what is to be predicted, from what, and how an answer is scored."""

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import pandas as pd

from cluster.user_error import UserError

Kind = Literal["binary", "multiclass", "regression", "forecast", "clustering"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DEFAULT_METRIC: dict[Kind, str] = {
    "binary": "roc_auc",
    "multiclass": "log_loss",
    "regression": "rmse",
    "forecast": "mase",
    "clustering": "silhouette",
}

MOST_CLASSES = 100  # an integer target with more distinct values than this is a quantity, not a label


class ProblemError(UserError):
    """The question contradicts itself or the table."""


@dataclass(frozen=True)
class Problem:
    """A question about a table.

    target: the column to predict; None for clustering.
    metric: a name of `framework.metric`; empty means the kind's default.
    group: rows of one group (a property, a tenant) never stand on both sides of a split.
    time: forecasts need it; other kinds are split by it when it is given: the past trains, the future tests.
    series: forecasts: the column that tells the series apart.
    horizon: forecasts: how many steps ahead; the last `horizon` steps of each series are the test.
    ahead: forecasts: columns whose values are known for the steps to be told (a planned price, holidays): these rows
        have to carry them. What any other column will be is not known then, and no forecast is told it.
    """

    name: str
    kind: Kind
    target: str | None = None
    metric: str = ""
    silo: str | None = None
    group: str | None = None
    time: str | None = None
    series: str | None = None
    horizon: int = 12
    weight: str | None = None
    ignored: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ProblemError(f"kind {self.kind!r} is unknown; it is one of {', '.join(KINDS)}.")
        if not self.metric:
            object.__setattr__(self, "metric", DEFAULT_METRIC[self.kind])
        if self.kind == "clustering" and self.target is not None:
            raise ProblemError(f"kind='clustering' has no target, and target={self.target!r} was given. Leave one out.")
        if self.kind != "clustering" and self.target is None:
            raise ProblemError(f"kind={self.kind!r} needs a target column. Pass target, or kind='clustering'.")
        if self.kind == "forecast" and self.time is None:
            raise ProblemError("kind='forecast' needs a time column. Pass time.")
        if self.horizon < 1:
            raise ProblemError(f"horizon is {self.horizon}; a forecast looks at least 1 step ahead.")
        object.__setattr__(self, "ahead", tuple(self.ahead))
        self._check_ahead()

    @property
    def classified(self) -> bool:
        """Whether the answer is a class: predictions are probabilities, shape (rows, classes)."""
        return self.kind in ("binary", "multiclass")

    @property
    def special(self) -> dict[str, str]:
        """The columns with a role of their own, role → column; a column given for two roles is named twice."""
        roles = ("target", "silo", "group", "time", "series", "weight")
        return {role: column for role in roles if (column := getattr(self, role)) is not None}

    def check_columns(self, columns: Iterable[str]) -> None:
        """Raises ProblemError naming the first role whose column is missing, with the nearest name there is."""
        present = list(columns)
        named = [*(("ignored", c) for c in self.ignored), *(("ahead", c) for c in self.ahead)]
        for role, column in [*self.special.items(), *named]:
            if column not in present:
                raise ProblemError(f"{role} column {column!r} is not in the data. {_nearest(column, present)}")

    def _check_ahead(self) -> None:
        """Raises ProblemError where columns known ahead are named for no forecast, twice, or play another role."""
        if not self.ahead:
            return
        if self.kind != "forecast":
            raise ProblemError(
                f"ahead={', '.join(self.ahead)} was given with kind={self.kind!r}; only forecasts know columns ahead. "
                f"Leave it out, or pass kind='forecast' and time."
            )
        roles = [*self.special.items(), *(("ignored", column) for column in self.ignored)]
        for place, column in enumerate(self.ahead):
            others = [role for role, other in roles if other == column]
            if others or column in self.ahead[:place]:
                other = others[0] if others else "ahead a second time"
                raise ProblemError(f"column {column!r} was given as ahead and as {other}. Give it one role.")

    @classmethod
    def infer(cls, frame: pd.DataFrame, target: str | None, *, kind: Kind | None = None, **given: Any) -> "Problem":
        """The problem that a table and a target column ask, its kind read off the target's values.

        No target: clustering. A time column and a numeric target: forecast. Two distinct values: binary.
        Text, or few distinct whole numbers: multiclass. Else regression. `kind` overrules; `given` are other fields.
        Raises ProblemError when the target is missing, constant, all missing, or contradicts the kind.
        """
        unknown = set(given) - {f.name for f in fields(cls)}
        if unknown:
            raise TypeError(f"Problem has no field {sorted(unknown)[0]!r}")
        # A registry takes no such letters in a model's name.
        name = given.pop("name", None) or re.sub(r"[/:%\"']+", "_", target or "clusters").strip() or "target"
        given = {key: value for key, value in given.items() if value is not None}
        if kind is None and target is None:
            kind = "clustering"
        if target is None:
            return cls(name=name, kind=kind or "clustering", target=None, **given)
        if target not in frame.columns:
            raise ProblemError(f"target column {target!r} is not in the data. {_nearest(target, frame.columns)}")
        detected = _detect(frame[target], target, has_time=given.get("time") is not None)
        problem = cls(name=name, kind=kind or detected, target=target, **given)
        problem.check_columns(frame.columns)
        return problem


def _detect(values: pd.Series, target: str, *, has_time: bool) -> Kind:
    """The kind that a target's values ask for."""
    present = values.dropna()
    if present.empty:
        raise ProblemError(f"target {target!r} has no value in any of {len(values)} rows. Nothing can be learned.")
    distinct = present.nunique()
    if distinct == 1:
        raise ProblemError(f"target {target!r} is constant: every row is {present.iloc[0]!r}. Nothing can be learned.")
    numeric = pd.api.types.is_numeric_dtype(present) and not pd.api.types.is_bool_dtype(present)
    if numeric and has_time and distinct > 2:
        return "forecast"
    if distinct == 2:
        return "binary"
    if not numeric:
        return "multiclass"
    whole = bool((present == present.round()).all()) if present.abs().max() < 2**53 else False
    few = distinct <= min(MOST_CLASSES, max(2, int(math.sqrt(len(present)))))
    return "multiclass" if whole and few and distinct <= 20 else "regression"


def _nearest(column: str, present: Iterable[str]) -> str:
    """A sentence that names the column the person most likely meant."""
    names = [str(name) for name in present]
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(column.lower(), list(lowered), n=1, cutoff=0.6)
    if near:
        return f"Did you mean {lowered[near[0]]!r}?"
    return f"It has: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}."
