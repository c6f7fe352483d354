"""What silos are asked to add up: the same words to every one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cluster.wire import Facts
from framework.data.column import ColumnKind

WAY = "Sums"


@dataclass(frozen=True)
class LinearJob:
    """columns: the features' names and kinds, in their order; labels: of two classes, none for a quantity.

    rounds: sums at most, one for a quantity, one a step of Newton's method for classes. secure: no silo tells a sum of
    its own, but a masked one.
    """

    target: str
    columns: tuple[tuple[str, ColumnKind], ...]
    labels: tuple[str, ...]
    rounds: int
    seed: int = 0
    secure: bool = False

    @property
    def ways(self) -> list[str]:
        return [WAY]

    def to_facts(self) -> Facts:
        plain = {name: getattr(self, name) for name in ("target", "rounds", "seed", "secure")}
        return {**plain, "columns": [list(column) for column in self.columns], "labels": list(self.labels)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        columns = tuple((name, kind) for name, kind in facts["columns"])
        return cls(**{**facts, "columns": columns, "labels": tuple(facts["labels"])})
