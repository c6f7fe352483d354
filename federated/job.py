"""What a federation is asked to train: the same words to every silo, plain data, before anything else is said."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, Self

from cluster.user_error import UserError
from cluster.wire import Facts
from federated.privacy import levels
from federated.privacy.levels import Privacy, RecordLevel
from federated.secure_aggregation.summable import check_summable
from federated.strategies import Strategy, from_facts, names_of, to_facts
from framework.data.column import ColumnKind

Optimizer = Literal["adamw", "sgd"]


class JobError(UserError):
    """Settings that contradict one another."""


class AnyJob(Protocol):
    """What silos and their policies know of a job, whatever is trained: a net's `Job`, or trees'.

    ways: the names that a policy knows its training by. secure: silos add up what they tell under masks, so that no
    sum is seen but that of all.
    """

    @property
    def target(self) -> str: ...
    @property
    def columns(self) -> tuple[tuple[str, ColumnKind], ...]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def rounds(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def ways(self) -> list[str]: ...
    @property
    def secure(self) -> bool: ...

    def to_facts(self) -> Facts:
        """Plain data, which travels to the silos."""
        ...


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
    """columns: the features' names and kinds, in their order; labels: of the classes, none for a quantity.

    secure: silos tell the coordinator no update and no score but masked ones, of which it learns the sum.
    privacy: what is promised about the silos' rows; None: nothing is.
    """

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
    secure: bool = False
    privacy: Privacy | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.plan.epochs < 1 or self.plan.batch < 1:
            raise JobError(
                f"rounds={self.rounds}, epochs={self.plan.epochs} and batch={self.plan.batch} must be at least 1."
            )
        self.strategy.check(self.plan)
        if self.secure:
            check_summable(self.strategy)
        if isinstance(self.privacy, RecordLevel):
            self.privacy.check(self.ways, keep=self.plan.keep)

    @property
    def ways(self) -> list[str]:
        return names_of(self.strategy)

    def to_facts(self) -> Facts:
        plain = {key: getattr(self, key) for key in ("target", "metric", "net", "rounds", "seed", "secure")}
        lists = {"columns": [list(column) for column in self.columns], "labels": list(self.labels)}
        nested: Facts = {"shape": dict(self.shape), "plan": asdict(self.plan), "strategy": to_facts(self.strategy)}
        nested["privacy"] = levels.to_facts(self.privacy)
        return {**plain, **lists, **nested}

    @classmethod
    def from_facts(cls, facts: Facts) -> Self:
        columns = tuple((name, kind) for name, kind in facts["columns"])
        parts = {"columns": columns, "labels": tuple(facts["labels"]), "plan": LocalPlan(**facts["plan"])}
        promised = levels.from_facts(facts["privacy"])
        return cls(**{**facts, **parts, "strategy": from_facts(facts["strategy"]), "privacy": promised})
