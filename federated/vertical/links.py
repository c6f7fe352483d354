"""How the target's owner speaks to the parties: a message to each and its answer, all of it bytes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.wire import Arrays, Facts
from federated.channel import Ticket
from federated.message import Message
from federated.vertical.holding import Holding
from federated.vertical.matching import Matcher, MatchError
from federated.vertical.party import audit_in
from federated.vertical.plan import VerticalError
from federated.vertical.question import Question, check, knows_nothing, read
from federated.vertical.reach import Answers, Reach
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
    """Questions under way, one or more to each party, in their order."""

    kind: str
    questions: dict[str, list[Question]]
    tickets: dict[str, Ticket]


class Links:
    """reach: how the parties are reached. sent, received: bytes so far, as the owner sees them; messages: of both ways.

    folder: of the owner's own, for its audit file of what it told; None: it writes none. seconds: that a question waits
    for its answers; deadline: in seconds of time.time(), for all questions. Parties in this process answer at once,
    whatever time it takes.
    """

    def __init__(
        self,
        owner: str,
        reach: Reach,
        folder: Path | None = None,
        *,
        seconds: float = 600.0,
        deadline: float = float("inf"),
    ) -> None:
        self.owner, self.reach, self.seconds, self.deadline = owner, reach, seconds, deadline
        self.sent = self.received = self.messages = 0
        self._audit = audit_in(folder)
        self._posted: dict[str, list[tuple[Question, bytes]]] = {}

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
        return self.answers(self.send(kind, expected, groups, step=step, facts=facts))

    def post(
        self,
        kind: str,
        expected: str,
        groups: Mapping[str, dict[str, Arrays]],
        *,
        step: int = 0,
        facts: Facts | None = None,
    ) -> None:
        """Puts a question to each of these parties that travels with the next one to it, and is answered before that:
        for what nobody waits for. groups: party → the arrays for it."""
        for party, arrays in groups.items():
            told = Message(kind, self.owner, step, facts or {}, arrays)
            told.check_leaving()
            request = told.to_bytes()
            if self._audit is not None:
                self._audit.write(told, request)
            self._posted.setdefault(party, []).append((Question(kind, step, expected), request))

    def send(
        self,
        kind: str,
        expected: str,
        groups: Mapping[str, dict[str, Arrays]],
        *,
        step: int = 0,
        facts: Facts | None = None,
    ) -> Sent:
        """Asks parties, and waits for nobody: those in actors work meanwhile. groups: party → the arrays for it."""
        self.post(kind, expected, groups, step=step, facts=facts)
        if self._audit is not None:
            self._audit.settle()
        leaving = {party: self._posted.pop(party) for party in groups}
        requests = {party: [request for _, request in posted] for party, posted in leaving.items()}
        self.sent += sum(len(request) for each in requests.values() for request in each)
        self.messages += sum(map(len, requests.values()))
        questions = {party: [question for question, _ in posted] for party, posted in leaving.items()}
        return Sent(kind, questions, self.reach.ask(requests))

    def answers(self, sent: Sent) -> dict[str, Message]:
        """What the parties answer to the last of the questions sent, each of the kind that is expected of it.

        Raises VerticalError naming the party that refuses, fails, is late, or answers something else; LostPartyError
        naming one whose process was lost. All that are in time have answered by then: none still works on a question.
        """
        came = self._collect(sent)
        lost: list[LostPartyError] = []
        answers: dict[str, Message] = {}
        for party, told in came.items():
            if isinstance(told, str):
                lost.append(LostPartyError(party, sent.kind, told))
                continue
            for question, data in zip(sent.questions[party], told, strict=True):
                answer = answers[party] = read(party, data, question.kind)
                if knows_nothing(answer):
                    lost.append(LostPartyError(party, question.kind, "its process is a new one"))
                    break
                check(party, answer, question)
        for error in lost:
            raise error
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

    def _collect(self, sent: Sent) -> dict[str, Answers]:
        """What came back, by party. Raises VerticalError naming those who are late."""
        until = min(time.time() + self.seconds, self.deadline)
        came = self.reach.collect(sent.tickets, until - time.time())
        if late := [party for party in sent.tickets if party not in came]:
            raise self._late(", ".join(map(repr, late)), sent.kind, over=until == self.deadline)
        told = [answers for answers in came.values() if not isinstance(answers, str)]
        self.received += sum(len(data) for answers in told for data in answers)
        self.messages += sum(map(len, told))
        return came

    def _late(self, who: str, kind: str, *, over: bool) -> VerticalError:
        if over:
            return VerticalTimeError(
                f"the time was over before party {who} had answered {kind!r}. Give it more minutes."
            )
        return VerticalError(
            f"party {who} has not answered {kind!r} in {self.seconds:g} s. See whether its process is stuck or waits "
            f"for a CPU, or give it longer (round_seconds)."
        )
