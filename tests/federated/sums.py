"""Sums among silos in this process, step by step, and a channel that is watched: for tests of secure aggregation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from federated.channel import Direct, Ticket
from federated.message import Message
from federated.secure_aggregation.collector import Collector
from federated.secure_aggregation.identity import Identity, found
from federated.secure_aggregation.participant import Participant
from federated.secure_aggregation.rules import Rules
from federated.silo import Silo
from federated.source import Source

STEPS = ("advert", "sealed", "masked", "consent", "opened")
LENGTH = 40
SESSION = bytes(range(32))


@dataclass
class Circle:
    """Silos that know one another, each with a vector; the coordinator's side beside them."""

    silos: list[str]
    session: bytes = SESSION
    identities: dict[str, Identity] = field(init=False)
    rules: Rules = field(init=False)
    values: dict[str, np.ndarray] = field(init=False)
    parts: dict[str, Participant] = field(init=False)
    collector: Collector = field(init=False)
    refused: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.identities = found(self.silos)
        registry = self.identities[self.silos[0]].registry
        self.rules = Rules.of(len(self.silos), registry, weight=1.0, nonce="once")
        rng = np.random.default_rng(len(self.silos))
        self.values = {silo: rng.normal(0, 20, LENGTH) for silo in self.silos}
        self.parts = {
            silo: Participant(self.identities[silo], self.session, self.rules, self.values[silo]) for silo in self.silos
        }
        self.collector = Collector(self.session, self.rules, registry, LENGTH)

    def sum(self, gone: Mapping[str, str] = {}) -> np.ndarray:
        """All steps. gone: silo → the step that it does not answer, nor any after it."""
        self.advertise(self.there(gone, "advert"))
        self.share(self.there(gone, "sealed"))
        self.mask(self.there(gone, "masked"))
        self.agree(self.there(gone, "consent"))
        return self.open(self.there(gone, "opened"))

    def there(self, gone: Mapping[str, str], step: str) -> list[str]:
        return [silo for silo in self.silos if silo not in gone or STEPS.index(gone[silo]) > STEPS.index(step)]

    def advertise(self, silos: list[str]) -> None:
        self.refused |= self.collector.take_adverts({silo: self.parts[silo].advert() for silo in silos})

    def share(self, silos: list[str]) -> None:
        adverts = self.collector.adverts
        self.refused |= self.collector.take_sealed({silo: self.parts[silo].sealed(adverts) for silo in silos})

    def mask(self, silos: list[str]) -> None:
        told = {silo: self.parts[silo].masked(self.collector.sealed_for(silo)) for silo in silos}
        self.refused |= self.collector.take_masked(told)

    def agree(self, silos: list[str]) -> None:
        told = {silo: self.parts[silo].consent(self.collector.survivors) for silo in silos}
        self.refused |= self.collector.take_consents(told)

    def open(self, silos: list[str]) -> np.ndarray:
        total, refused = self.collector.total(
            {silo: self.parts[silo].opened(self.collector.consents) for silo in silos}
        )
        self.refused |= refused
        return total

    def expected(self, silos: list[str]) -> np.ndarray:
        return np.sum([self.values[silo] for silo in silos], axis=0)


def circle(silos: int = 10) -> Circle:
    return Circle([f"owner {place}" for place in range(silos)])


class Watched(Direct):
    """What a coordinator receives, byte by byte. gone: silo → the kind of answer that it fails to give, in a round."""

    def __init__(
        self,
        sources: Sequence[Source],
        folder: Path | None = None,
        *,
        kind: type[Silo] = Silo,
        secure: bool = True,
        gone: Mapping[str, str] = {},
        in_round: int = 2,
    ) -> None:
        super().__init__(sources, folder, found(source.name for source in sources) if secure else None, kind=kind)
        self.received: list[bytes] = []
        self.gone, self.in_round = gone, in_round
        self.cut = ""  # a kind of question at which the coordinator is cut off

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        asked = Message.from_bytes(request)
        if asked.kind == self.cut and asked.round == self.in_round:
            raise KeyboardInterrupt
        return super().ask(silos, request)

    def take(self, ticket: Ticket) -> bytes:
        data = super().take(ticket)
        told = Message.from_bytes(data)
        if told.round == self.in_round and self.gone.get(told.silo) == told.kind:
            data = Message("failure", told.silo, told.round, {"type": "PowerCut"}).to_bytes()
        self.received.append(data)
        return data
