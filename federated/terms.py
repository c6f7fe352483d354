"""By which terms silos take part in a federation, and what it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cluster.wire import Arrays
from federated.dealt import able
from federated.exchange import Happening
from federated.preparation import Preparation
from federated.source import Held


@dataclass(frozen=True)
class Terms:
    """quorum: how many silos must answer in a round for it to count. round_seconds: after which it ends with those
    that have answered. deadline: in seconds of time.time(), for all of it. patience: rounds without gain on the
    silos' validation rows before it stops; 0: all rounds are made. units: silos whose columns look to be in other
    units than everybody else's are refused.
    """

    quorum: int = 2
    round_seconds: float = 600.0
    deadline: float = float("inf")
    patience: int = 0
    units: bool = True

    @classmethod
    def among(
        cls,
        sources: Sequence[Held],
        share: float,
        *,
        round_seconds: float = 600.0,
        deadline: float = float("inf"),
        patience: int = 0,
    ) -> Self:
        """With a quorum that is a share of the silos with rows enough, and two at least."""
        return cls(max(2, round(share * len(able(sources)))), round_seconds, deadline, patience)


@dataclass(frozen=True)
class Outcome:
    """What a federation leaves. parts: by name the weights that differ from the common ones; members: silo → part;
    tuned: silo → the epochs for which it trained the common weights on, of those that did.

    rounds: after which the common weights were best. rows: of each silo that joined. scores: the mean validation loss
    after each round, from 0. happenings: who was late, lost or refused, when. sent, received: bytes in all.
    """

    preparation: Preparation
    weights: Arrays = field(repr=False)
    parts: dict[str, Arrays] = field(repr=False)
    members: dict[str, str]
    tuned: dict[str, int]
    rounds: int
    rows: dict[str, int]
    scores: list[float]
    happenings: list[Happening]
    sent: int
    received: int
