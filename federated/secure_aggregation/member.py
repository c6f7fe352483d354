"""A silo as a member of sums: one at a time, each answered message by message."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from cluster.wire import Arrays, Facts
from federated.message import Message
from federated.secure_aggregation.advert import Advert, as_array, as_bytes
from federated.secure_aggregation.identity import Identity
from federated.secure_aggregation.participant import Participant, WithdrawnError
from federated.secure_aggregation.rules import Rules, session_of

Told = tuple[str, Facts, dict[str, Arrays]]  # kind, facts, groups

RULES = "sum"  # the fact of a question that says how its answers are summed


class Summand(Protocol):
    """What a silo adds to a sum."""

    def to_vector(self, rules: Rules) -> np.ndarray:
        """As numbers of which none is beyond the rules' reach, float64, shape (length,)."""
        ...


class Member:
    """Keys live as long as their sum. A round that is asked for again is summed again with the same silos or not at
    all: two sums that differ by one silo would tell its part.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._participant: Participant | None = None
        self._of = ("", "", 0)  # federation, kind of question, round
        self._summed: dict[tuple[str, str, int], list[str]] = {}  # … → the silos whose sum this one has helped to open
        self._survivors: list[str] = []

    def begin(self, question: Message, run: str, summand: Summand) -> Told:
        """Its keys for the sum that the question asks for. What was begun before is forgotten."""
        rules = Rules.from_facts(question.facts[RULES])
        session = session_of(question.to_bytes(), run)
        self._of, self._participant = (run, question.kind, question.round), None
        participant = Participant(self._identity, session, rules, summand.to_vector(rules))
        keys = participant.advert().to_arrays()
        self._participant = participant
        return "advert", {}, {"keys": keys}

    def share(self, asked: Message) -> Told:
        adverts = {silo: Advert.from_arrays(arrays) for silo, arrays in asked.groups.items()}
        boxes = self._part().sealed(adverts)
        return "sealed", {}, {"sealed": {silo: as_array(box) for silo, box in boxes.items()}}

    def mask(self, asked: Message) -> Told:
        vector = self._part().masked(as_bytes(asked.groups["sealed"]))
        return "masked", {}, {"masked": {"vector": vector}}

    def consent(self, asked: Message) -> Told:
        survivors = [str(silo) for silo in asked.facts["survivors"]]
        before = self._summed.get(self._of, sorted(survivors))
        if before != sorted(survivors):
            self._participant = None
            raise WithdrawnError(
                f"silo {self._identity.silo!r} withdraws: round {asked.round} has been summed before, of other silos; "
                f"both sums together would tell single parts."
            )
        signature = self._part().consent(survivors)
        self._survivors = sorted(survivors)
        return "consent", {}, {"consent": {"signature": as_array(signature)}}

    def unmask(self, asked: Message) -> Told:
        opened = self._part().opened(as_bytes(asked.groups["consents"]))
        self._summed[self._of] = self._survivors
        seeds, keys = ({silo: as_array(share) for silo, share in side.items()} for side in opened)
        return "unmasked", {}, {"seeds": seeds, "keys": keys}

    def _part(self) -> Participant:
        if self._participant is None:
            raise WithdrawnError(
                f"silo {self._identity.silo!r} takes no part in this sum: its process is new, or it has withdrawn."
            )
        return self._participant


def with_rules(question: Message, rules: Rules) -> Message:
    return replace(question, facts={**question.facts, RULES: rules.to_facts()})


def without_rules(question: Message) -> Message:
    """The same to every coordinator that asks it again."""
    return replace(question, facts={name: fact for name, fact in question.facts.items() if name != RULES})
