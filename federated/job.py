"""What a federation is asked to train: the same words to every silo, plain data, before anything else is said."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from cluster.user_error import UserError
from cluster.wire import Facts
from federated.strategies import Strategy, from_facts, to_facts
from framework.data.column import ColumnKind

Optimizer = Literal["adamw", "sgd"]


class JobError(UserError):
    """Settings that contradict one another."""


@dataclass(frozen=True)
class LocalPlan:
    """How a silo trains between two exchanges.

    epochs: over its rows in a round; rate: of the optimizer; clip: the norm that a gradient is held to, 0: none.
    keep: the optimizer's moments stay in the silo from round to round; else each round begins without any.
    """

    epochs: int = 2
    batch: int = 32
    rate: float = 0.002
    weight_decay: float = 0.01
    optimizer: Optimizer = "adamw"
    clip: float = 1.0
    keep: bool = False


@dataclass(frozen=True)
class Job:
    """columns: the features' names and kinds, in their order; labels: of the classes, none for a quantity."""

    target: str
    metric: str
    columns: tuple[tuple[str, ColumnKind], ...]
    labels: tuple[str, ...]
    strategy: Strategy
    net: str = "mlp"
    shape: Mapping[str, Any] = field(default_factory=dict)
    plan: LocalPlan = LocalPlan()
    rounds: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.plan.epochs < 1 or self.plan.batch < 1:
            raise JobError(
                f"rounds={self.rounds}, epochs={self.plan.epochs} and batch={self.plan.batch} must be at least 1."
            )
        self.strategy.check(self.plan)

    def to_facts(self) -> Facts:
        plain = {key: getattr(self, key) for key in ("target", "metric", "net", "rounds", "seed")}
        lists = {"columns": [list(column) for column in self.columns], "labels": list(self.labels)}
        nested = {"shape": dict(self.shape), "plan": asdict(self.plan), "strategy": to_facts(self.strategy)}
        return {**plain, **lists, **nested}

    @classmethod
    def from_facts(cls, facts: Facts) -> Self:
        columns = tuple((name, kind) for name, kind in facts["columns"])
        parts = {"columns": columns, "labels": tuple(facts["labels"]), "plan": LocalPlan(**facts["plan"])}
        return cls(**{**facts, **parts, "strategy": from_facts(facts["strategy"])})
