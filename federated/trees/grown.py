"""What a federation of trees leaves when it ends."""

from dataclasses import dataclass, field

from federated.exchange import Happening
from federated.preparation import Preparation


@dataclass(frozen=True)
class Grown:
    """What a federation leaves. booster: UBJ, with all trees that were grown. best: how many of them to keep.

    scores: of all silos' rows to stop by, after each tree; nan without any. rows: of each silo. received: bytes that
    each silo sent the tracker. sessions: made, those that broke among them. happenings: who was late, lost or refused.
    """

    preparation: Preparation
    booster: bytes = field(repr=False)
    best: int
    scores: list[float] = field(repr=False)
    rows: dict[str, int]
    received: dict[str, int]
    sessions: int
    happenings: list[Happening]
