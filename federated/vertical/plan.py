"""What a party is asked for: which of its columns, through which net, how trained. Plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from cluster.user_error import UserError
from cluster.wire import Facts
from framework.data.column import ColumnKind


class VerticalError(UserError):
    """Parties that cannot train together, or an answer that is none."""


@dataclass(frozen=True)
class NetPlan:
    """embedding: the numbers that a party tells of a row; size, width, layers, dropout: of its net, as `nets.mlp` has
    them; rate, weight_decay: of AdamW, each party's own."""

    embedding: int = 8
    size: int = 16
    width: int = 64
    layers: int = 1
    dropout: float = 0.1
    rate: float = 0.002
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if self.embedding < 1:
            raise VerticalError(f"embedding={self.embedding}; a party tells at least 1 number of a row.")


@dataclass(frozen=True)
class Schedule:
    """epochs, patience: at most, and without gain on the owner's rows to stop by; 0: all are made. batch: rows."""

    epochs: int = 200
    patience: int = 20
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise VerticalError(f"epochs={self.epochs} and batch={self.batch} must be at least 1.")


@dataclass(frozen=True)
class PartyJob:
    """What one party is asked, as policies know a job. It holds no target: that is nobody's but its owner's."""

    columns: tuple[tuple[str, ColumnKind], ...]
    rounds: int
    net: NetPlan = NetPlan()
    target: str = ""
    labels: tuple[str, ...] = ()
    seed: int = 0
    secure: ClassVar[bool] = False  # embeddings are no sums

    @property
    def ways(self) -> list[str]:
        return ["vertical"]

    def to_facts(self) -> Facts:
        return {"columns": [list(c) for c in self.columns], "rounds": self.rounds, "net": asdict(self.net)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        columns = tuple((name, kind) for name, kind in facts["columns"])
        return cls(columns, int(facts["rounds"]), NetPlan(**facts["net"]))
