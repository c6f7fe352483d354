"""A member of a population as it was left after a span: what a sweep that was killed takes it up from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from framework.search_space import Setting
from framework.sweep.trial import tuples

BREAK = b"\n"  # between the card and the state


@dataclass(frozen=True)
class Member:
    """number: its trial's. looks: that it has trained. asked: the settings that it began with; settings: those that it
    has now. report: its last one to Tune, with its score. state: of its training, as `training.state_shelf` packs it.
    """

    number: int
    looks: int
    asked: Mapping[str, Setting]
    settings: Mapping[str, Setting]
    report: Mapping[str, Any]
    state: bytes = field(repr=False)

    def pack(self) -> bytes:
        card = {name: value for name, value in asdict(self).items() if name != "state"}
        return json.dumps(card, default=float).encode() + BREAK + self.state

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Raises ValueError, KeyError or TypeError for what `pack` did not pack."""
        card, found, state = packed.partition(BREAK)
        told = json.loads(card)
        if not found:
            raise ValueError("a member without a state")
        for name in ("asked", "settings"):
            told[name] = {key: tuples(value) for key, value in told[name].items()}
        return cls(**told, state=state)
