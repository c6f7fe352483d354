"""How the target's owner speaks to the parties: a message to each and its answer, all of it bytes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.wire import Arrays, Facts
from federated.channel import Channel, LostSiloError, Ticket
from federated.message import LEAVING, Message
from federated.vertical.holding import Holding
from federated.vertical.matching import Matcher, MatchError
from federated.vertical.party import audit_in
from federated.vertical.plan import VerticalError
from framework.contender import OutOfTimeError


class LostPartyError(VerticalError):
    """A party whose process is gone. why: without a full stop. kind: of the question that it was lost at."""

    def __init__(self, party: str, kind: str, why: str) -> None:
        super().__init__(
            f"party {party!r} was lost at {kind!r}: {why}. What its net had learned was with it alone, so there is no "
            f"model. See why its process ended, and fit again."
        )
        self.party, self.kind, self.why = party, kind, why


class VerticalTimeError(VerticalError, OutOfTimeError):
    """A party that has not answered by the time that the fit must end."""


@dataclass(frozen=True)
class Sent:
    """Questions under way, one to each party."""

    kind: str
    step: int
    tickets: dict[str, Ticket]


class Links:
    """channel: how the parties are reached. sent, received: bytes so far, as the owner sees them.

    folder: of the owner's own, for its audit file of what it told; None: it writes none. seconds: that a question waits
    for its answers; deadline: in seconds of time.time(), for all questions. A channel in this process answers at once,
    whatever time it takes.
    """

    def __init__(
        self,
        owner: str,
        channel: Channel,
        folder: Path | None = None,
        *,
        seconds: float = 600.0,
        deadline: float = float("inf"),
    ) -> None:
        self.owner, self.channel, self.seconds, self.deadline = owner, channel, seconds, deadline
        self.sent = self.received = 0
        self._audit = audit_in(folder)

    def ask(
        self,
        party: str,
        kind: str,
        expected: str,
        *,
        step: int = 0,
        facts: Facts | None = None,
        groups: dict[str, Arrays] | None = None,
    ) -> Message:
        """As `ask_each`, of one party."""
        return self.ask_each(kind, expected, {party: groups or {}}, step=step, facts=facts)[party]

    def ask_each(
        self,
        kind: str,
        expected: str,
        groups: Mapping[str, dict[str, Arrays]],
        *,
        step: int = 0,
        facts: Facts | None = None,
    ) -> dict[str, Message]:
        """The answers to `send`, see `answers`."""
        return self.answers(self.send(kind, groups, step=step, facts=facts), expected)

    def send(
        self, kind: str, groups: Mapping[str, dict[str, Arrays]], *, step: int = 0, facts: Facts | None = None
    ) -> Sent:
        """Asks parties, and waits for nobody: those in actors work meanwhile. groups: party → the arrays for it."""
        tickets: dict[str, Ticket] = {}
        for party, arrays in groups.items():
            told = Message(kind, self.owner, step, facts or {}, arrays)
            told.check_leaving()
            request = told.to_bytes()
            if self._audit is not None:
                self._audit.record(told, request)
            self.sent += len(request)
            tickets |= self.channel.ask([party], request)
        return Sent(kind, step, tickets)

    def answers(self, sent: Sent, expected: str) -> dict[str, Message]:
        """What the parties answer, of the kind that is expected.

        Raises VerticalError naming the party that refuses, fails, is late, or answers something else; LostPartyError
        naming one whose process was lost. All that are in time have answered by then: none still works on a question.
        """
        kind = sent.kind
        came, lost = self._collect(sent)
        answers = {party: self._read(party, data, kind) for party, data in came.items()}
        lost |= {party: "its process is a new one" for party, told in answers.items() if _knows_nothing(told)}
        for party, answer in answers.items():
            if party not in lost:
                _check(party, answer, kind, expected, sent.step)
        for party, why in lost.items():
            raise LostPartyError(party, kind, why)
        return {party: answers[party] for party in sent.tickets}

    def match(self, party: str, holding: Holding) -> list[str]:
        """The ids that the owner has in common with a party, sorted; the party knows them then too."""
        matcher = Matcher(self.owner, holding.ids)
        met = self.ask(party, "meet", "met", groups={"psi": {"request": matcher.request()}}).groups["psi"]
        try:
            common = matcher.common(met)
            answered = matcher.answer(met["request"])
        except (MatchError, KeyError):
            raise VerticalError(f"party {party!r} answered 'meet' by what is no part of a matching.") from None
        theirs = self.ask(party, "match", "matched", groups={"psi": answered}).facts["common"]
        if theirs != len(common):
            raise VerticalError(f"party {party!r} found {theirs} common ids, and {self.owner!r} {len(common)}.")
        return common

    def _collect(self, sent: Sent) -> tuple[dict[str, bytes], dict[str, str]]:
        """What came back, by party; and why nothing did, of those that were lost."""
        until = min(time.time() + self.seconds, self.deadline)
        waiting, came, lost = dict(sent.tickets), dict[str, bytes](), dict[str, str]()
        while waiting:
            ready = self.channel.wait(waiting, until - time.time())
            if not ready:
                raise self._late(", ".join(map(repr, waiting)), sent.kind, over=until == self.deadline)
            for party in ready:
                try:
                    came[party] = self.channel.take(waiting.pop(party))
                except LostSiloError as error:
                    lost[party] = str(error)
        self.received += sum(map(len, came.values()))
        return came, lost

    def _late(self, who: str, kind: str, *, over: bool) -> VerticalError:
        if over:
            return VerticalTimeError(
                f"the time was over before party {who} had answered {kind!r}. Give it more minutes."
            )
        return VerticalError(
            f"party {who} has not answered {kind!r} in {self.seconds:g} s. See whether its process is stuck or waits "
            f"for a CPU, or give it longer (round_seconds)."
        )

    def _read(self, party: str, data: bytes, kind: str) -> Message:
        try:
            return Message.from_bytes(data)
        except (ValueError, KeyError, TypeError) as error:
            raise VerticalError(f"party {party!r} answered {kind!r} by what cannot be read: {error}.") from None


def finite(array: np.ndarray) -> bool:
    """Whether all of an array that a party told are numbers."""
    return bool(np.isfinite(array).all())


def _knows_nothing(answer: Message) -> bool:
    return answer.kind == "failure" and answer.facts.get("type") == "NotReadyError"


def _check(party: str, answer: Message, kind: str, expected: str, step: int) -> None:
    if answer.kind == "refusal":
        raise VerticalError(f"party {party!r} refuses: {answer.facts.get('reason')}")
    if answer.kind == "failure":
        raise VerticalError(f"party {party!r} failed at {kind!r} ({answer.facts.get('type')}); its own log says why.")
    if answer.kind != expected or (answer.silo, answer.round) != (party, step):
        raise VerticalError(
            f"party {party!r} answered {kind!r} of step {step} by {answer.kind!r} of {answer.silo!r}, step "
            f"{answer.round}, which is no answer to it."
        )
    facts, groups = LEAVING[expected]
    if set(answer.facts) != facts or set(answer.groups) != groups:
        held = sorted({*answer.facts, *answer.groups})
        raise VerticalError(
            f"party {party!r} answered {kind!r} with {held}, and {sorted(facts | groups)} was asked for."
        )
