"""Tenants of several owners, who leave sooner or later, and what a coordinator hears: for the tests of Cox models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from federated import Policy
from federated.channel import Direct, LostSiloError, Ticket
from federated.message import Message
from federated.source import Filed
from framework.data.column import ColumnKind

OPEN = Policy(minimum_count=1, minimum_rows=1)  # nothing is held back: the sums are those of all rows
ASKED: dict[str, Any] = {"duration": "months", "event": "left", "hosts": 0}
TENANTS: dict[str, ColumnKind] = {"rise": "number", "lift": "boolean", "plan": "category"}


def dealt(table: pd.DataFrame, silo: str, policy: Policy = OPEN) -> list[Filed]:
    return [Filed(str(name), rows.reset_index(drop=True), policy) for name, rows in table.groupby(silo)]


def leavers(rows: int = 120, silos: int = 3, seed: int = 0) -> pd.DataFrame:
    """Tenants of several owners: rent goes up, they leave sooner; a lift keeps them; each owner has its own law."""
    draw = np.random.default_rng(seed)
    parts = []
    for place in range(silos):
        rise, lift = draw.normal(5, 2, rows), draw.random(rows) < 0.4
        speed = np.exp(0.3 * rise - 0.8 * lift) / (20 * (1 + place))
        months, seen = draw.exponential(1 / speed), draw.uniform(1, 60, rows)
        parts.append(
            pd.DataFrame(
                {
                    "owner": f"owner {place}",
                    "months": np.minimum(months, seen),
                    "left": (months <= seen).astype(int),
                    "rise": rise,
                    "lift": lift,
                    "plan": draw.choice(["basic", "gold", "plus"], rows),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


class Heard(Direct):
    """What the coordinator receives; a silo that is lost from a round on."""

    received: list[bytes]
    lost: tuple[str, int] = ("", 0)

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        type(self).received = []

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        tickets, round_ = super().ask(silos, request), Message.from_bytes(request).round
        silo, since = self.lost
        return {name: b"" if name == silo and round_ >= since else ticket for name, ticket in tickets.items()}

    def take(self, ticket: Ticket) -> bytes:
        if not ticket:
            raise LostSiloError("its machine is gone")
        self.received.append(super().take(ticket))
        return self.received[-1]
