"""What silos are asked to add up for a Cox model: the same words to every one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from cluster.wire import Facts
from framework.data.column import ColumnKind

WAY = "Cox"  # as `Policy.strategies` has it
Baseline = Literal["silo", "common"]


@dataclass(frozen=True)
class CoxJob:
    """target: the event's column; labels: how it writes "not yet" and "it happened". duration: the column of how long.

    columns: names and kinds of what may hasten it, in their order. rounds: steps of Newton's method at most.
    times: the moments of a baseline that all silos share, rising; none where each has its own. secure: no silo tells a
    sum of its own, but a masked one.
    """

    target: str
    labels: tuple[str, ...]
    duration: str
    columns: tuple[tuple[str, ColumnKind], ...]
    rounds: int
    times: tuple[float, ...] = ()
    seed: int = 0
    secure: bool = False

    @property
    def ways(self) -> list[str]:
        return [WAY if not self.times else f"{WAY} common baseline"]

    @property
    def opening(self) -> Self:
        """With the duration among the columns: what a silo opens, and of which only durations stay unspoken of."""
        return replace(self, columns=(*self.columns, (self.duration, "number")))

    def to_facts(self) -> Facts:
        plain = {name: getattr(self, name) for name in ("target", "duration", "rounds", "seed", "secure")}
        columns = [list(column) for column in self.columns]
        return {**plain, "columns": columns, "labels": list(self.labels), "times": list(self.times)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        columns = tuple((name, kind) for name, kind in facts["columns"])
        parts = {"columns": columns, "labels": tuple(facts["labels"]), "times": tuple(facts["times"])}
        return cls(**{**facts, **parts})
