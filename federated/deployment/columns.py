"""Which columns a federation learns from, where its coordinator has no rows to look at: those that most silos hold."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.wire import Facts
from federated.channel import Channel, LostSiloError
from federated.exchange import FederationError
from federated.message import BoundaryError, Message
from framework.data.column import ColumnKind

KINDS: frozenset[ColumnKind] = frozenset({"number", "boolean", "category", "date"})
NOBODY = "no column beside the target is of one kind in most silos"


@dataclass(frozen=True)
class Columns:
    """features: names and kinds, sorted by name. labels: of the classes, sorted; none for a quantity.

    left_out: column → why it is no feature.
    """

    features: tuple[tuple[str, ColumnKind], ...]
    labels: tuple[str, ...]
    left_out: dict[str, str]

    def to_json(self) -> Facts:
        return {"features": self.features, "labels": self.labels, "left_out": self.left_out}

    @classmethod
    def from_json(cls, facts: Facts) -> "Columns":
        return cls(tuple((name, kind) for name, kind in facts["features"]), tuple(facts["labels"]), facts["left_out"])


def ask_for_columns(channel: Channel, target: str, *, seconds: float, quorum: int) -> Columns:
    """Asks all silos that are there. Raises FederationError when fewer than a quorum say what they hold."""
    asked = Message("describe", facts={"target": target})
    until = time.time() + seconds
    tickets = channel.ask(channel.silos, asked.to_bytes())
    told: dict[str, Facts] = {}
    why: dict[str, str] = {}
    while tickets and (left := until - time.time()) > 0:
        for silo in channel.wait(tickets, left):
            try:
                answer = Message.from_bytes(channel.take(tickets.pop(silo)))
                if answer.kind == "described":
                    told[silo] = _read(answer.facts)
                else:
                    why[silo] = str(answer.facts.get("reason") or f"it failed with {answer.facts.get('type')}")
            except (LostSiloError, BoundaryError, ValueError, KeyError, TypeError) as error:
                why[silo] = str(error)
    if len(told) < quorum:
        why |= dict.fromkeys(tickets, "it is late")
        reasons = "; ".join(f"{silo}: {reason}" for silo, reason in why.items()) or "no others are there"
        raise FederationError(f"{len(told)} silo(s) say what columns they hold, and {quorum} are needed ({reasons}).")
    return agree(told)


def agree(told: Mapping[str, Facts]) -> Columns:
    """What most silos hold as one kind, and whether most predict classes. What a silo holds otherwise it is asked to
    read as that kind when it joins, and is refused by name where it cannot.

    told: silo → columns (name → kind), labels, classified. Raises FederationError when no column is left.
    """
    most = len(told) // 2 + 1
    classified = 2 * sum(bool(facts["classified"]) for facts in told.values()) > len(told)
    named = {label for facts in told.values() if facts["classified"] for label in facts["labels"]}
    labels = tuple(sorted(named)) if classified else ()
    features: list[tuple[str, ColumnKind]] = []
    left_out: dict[str, str] = {}
    for name in sorted({name for facts in told.values() for name in facts["columns"]}):
        kinds = Counter(facts["columns"][name] for facts in told.values() if name in facts["columns"])
        kind, silos = kinds.most_common(1)[0]
        if silos >= most:
            features.append((name, kind))
        else:
            left_out[name] = f"{silos} of {len(told)} silos hold it as one kind ({kind}), fewer than {most}"
    if not features:
        raise FederationError(f"{NOBODY}. Let silos hold the same columns, under the same names.")
    if classified and len(labels) < 2:
        raise FederationError(
            "fewer than 2 labels of the target are held by any silo in rows enough to be named. There is nothing to "
            "tell apart."
        )
    return Columns(tuple(features), labels, left_out)


def _read(facts: dict[str, Any]) -> Facts:
    """What a silo has said of its columns. Raises ValueError for what is no such thing."""
    columns, labels = facts["columns"], facts["labels"]
    sound = isinstance(columns, dict) and isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not sound or not all(isinstance(kind, str) and kind in KINDS for kind in columns.values()):
        raise ValueError("what it says of its columns cannot be read")
    return facts
