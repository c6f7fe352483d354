"""One question to all silos and their answers: who is late, lost or refuses, and who has come back."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from federated.channel import Channel, LostSiloError, Ticket
from federated.federation_error import FederationError as FederationError
from federated.job import AnyJob
from federated.message import BoundaryError, Message
from federated.preparation import Preparation

log = logging.getLogger(__name__)

TRIES = 4  # of a question to a silo whose process is lost: as often as Ray starts its host, and once more


@dataclass(frozen=True)
class Happening:
    """Something that a person should know of a silo in a round; round 0 is before the first."""

    round: int
    silo: str
    what: Literal["late", "discarded", "lost", "returned", "refused"]
    why: str = ""

    def __str__(self) -> str:
        return f"round {self.round}: silo {self.silo!r} {self.what}{': ' if self.why else ''}{self.why}"


class Exchange:
    """preparation: once it is agreed, a silo whose process is a new one is asked to join again and given it."""

    def __init__(self, channel: Channel, seconds: float, deadline: float, job: AnyJob) -> None:
        """seconds: that a question waits for its answers; deadline: in seconds of time.time(), for all questions."""
        self.channel, self.seconds, self.deadline = channel, seconds, deadline
        self.preparation: Preparation | None = None
        self.happenings: list[Happening] = []
        self.refused: dict[str, str] = {}  # silo → its reason; it is not asked again
        self.sent = self.received = 0
        self._join = Message("join", facts={"job": job.to_facts()}).to_bytes()
        self._late: dict[str, Ticket] = {}  # silos that still work on an earlier question
        self._lost: set[str] = set()

    def ask(self, question: Message, silos: Sequence[str], *, expected: str) -> dict[str, Message]:
        """The answers that came in time, by silo. Those of another kind, or that cannot be read, are left out."""
        return self._ask(dict.fromkeys(silos, question.to_bytes()), question.round, expected)

    def ask_each(self, questions: Mapping[str, Message], *, expected: str) -> dict[str, Message]:
        """As `ask`, each silo a question of its own, all of one round."""
        wholes = {silo: question.to_bytes() for silo, question in questions.items()}
        return self._ask(wholes, next((question.round for question in questions.values()), 0), expected)

    def _ask(self, wholes: Mapping[str, bytes], round_: int, expected: str) -> dict[str, Message]:
        until = min(time.time() + self.seconds, self.deadline)
        self._collect(round_)
        asked = [silo for silo in wholes if silo not in self._late and silo not in self.refused]
        chains = {silo: self._chain(wholes[silo], back=silo in self._lost) for silo in asked}
        tickets: dict[str, Ticket] = {}
        for first in dict.fromkeys(chain[0] for chain in chains.values()):
            tickets |= self._send([silo for silo in asked if chains[silo][0] == first], first)
        answers: dict[str, Message] = {}
        tries = dict.fromkeys(asked, 1)
        while tickets and (left := until - time.time()) > 0:
            for silo in self.channel.wait(tickets, left):
                answer = self._take(silo, tickets.pop(silo), round_)
                if answer is None:
                    self._lost.add(silo)
                    if tries[silo] < TRIES:
                        tries[silo] += 1
                        chains[silo] = self._chain(wholes[silo], back=True)
                        tickets |= self._send([silo], chains[silo][0])
                    continue
                if answer.kind in ("refusal", "failure", "withdrawn"):
                    self._refuse(round_, silo, answer)
                    continue
                chains[silo].pop(0)
                if chains[silo]:
                    tickets |= self._send([silo], chains[silo][0])
                    continue
                if silo in self._lost:
                    self._lost.discard(silo)
                    self.note(round_, silo, "returned")
                if answer.kind == expected and answer.round == round_:
                    answers[silo] = answer
        for silo in tickets:
            self.note(round_, silo, "late", f"no answer in {self.seconds:g} s")
        self._late |= tickets
        return answers

    def note(
        self, round_: int, silo: str, what: Literal["late", "discarded", "lost", "returned", "refused"], why: str = ""
    ) -> None:
        self.happenings.append(Happening(round_, silo, what, why))
        log.info("federation: %s", self.happenings[-1])

    def check_quorum(self, answered: int, quorum: int, round_: int) -> None:
        """Raises FederationError naming those that did not answer, each with what happened to it."""
        if answered >= quorum:
            return
        raise FederationError(
            f"{answered} silo(s) answered in round {round_}, and {quorum} are needed ({self.reasons(round_)}). Wait "
            f"for them, or ask for a smaller quorum."
        )

    def reasons(self, round_: int) -> str:
        """What happened to silos that did not answer in this round, of at most five."""
        why = dict(self.refused)
        why |= {
            happening.silo: str(happening.why or happening.what)
            for happening in self.happenings
            if happening.round == round_
        }
        return "; ".join(f"{silo}: {reason}" for silo, reason in list(why.items())[:5]) or "nobody knows why"

    def _chain(self, whole: bytes, *, back: bool) -> list[bytes]:
        """What a silo is told, one after the other: before the question, where it is back, what it has missed."""
        if not back or whole == self._join:
            return [whole]
        if self.preparation is None:
            return [self._join, whole]
        facts, groups = self.preparation.to_message()
        return [self._join, Message("prepare", facts=facts, groups=groups).to_bytes(), whole]

    def _send(self, silos: list[str], request: bytes) -> dict[str, Ticket]:
        self.sent += len(silos) * len(request)
        return self.channel.ask(silos, request)

    def _take(self, silo: str, ticket: Ticket, round_: int) -> Message | None:
        """The answer; None where the silo, or what it knew, was lost."""
        try:
            data = self.channel.take(ticket)
        except LostSiloError as error:
            self.note(round_, silo, "lost", str(error))
            return None
        self.received += len(data)
        try:
            answer = Message.from_bytes(data)
            if answer.silo != silo:
                raise ValueError(f"it names itself {answer.silo!r}")
        except (ValueError, KeyError, TypeError, BoundaryError) as error:
            return Message("refusal", silo, round_, {"reason": f"silo {silo!r} sent what cannot be read: {error}."})
        if answer.kind == "failure" and answer.facts.get("type") == "NotReadyError":
            self.note(round_, silo, "lost", "its process is a new one")
            return None
        return answer

    def _refuse(self, round_: int, silo: str, answer: Message) -> None:
        why = answer.facts.get("reason") or f"it failed with {answer.facts.get('type')}; its own log says why."
        self.note(round_, silo, "refused", str(why))
        if answer.kind == "refusal":
            self.refused[silo] = str(why)

    def _collect(self, round_: int) -> None:
        """Takes what late silos have sent meanwhile, and throws it away: its round is over."""
        if not self._late:
            return
        for silo in self.channel.wait(self._late, 0.0):
            answer = self._take(silo, self._late.pop(silo), round_)
            if answer is None:
                self._lost.add(silo)
            else:
                self.note(round_, silo, "discarded", f"its answer to round {answer.round} came too late")
