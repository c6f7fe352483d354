"""How the target's owner speaks to the parties: one message and its answer at a time, all of it bytes."""

from collections.abc import Mapping
from pathlib import Path

from cluster.wire import Arrays, Facts
from federated.message import Message
from federated.vertical.holding import Holding
from federated.vertical.matching import Matcher
from federated.vertical.party import Link, audit_in
from federated.vertical.plan import VerticalError


class Links:
    """parties: how each is reached. sent, received: bytes so far, as the owner sees them.

    folder: of the owner's own, for its audit file of what it told; None: it writes none.
    """

    def __init__(self, owner: str, parties: Mapping[str, Link], folder: Path | None = None) -> None:
        self.owner, self.parties = owner, dict(parties)
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
        """The party's answer, of the kind that is expected.

        Raises VerticalError naming the party that refuses, fails, or answers something else.
        """
        told = Message(kind, self.owner, step, facts or {}, groups or {})
        told.check_leaving()
        request = told.to_bytes()
        if self._audit is not None:
            self._audit.record(told, request)
        self.sent += len(request)
        data = self.parties[party](request)
        self.received += len(data)
        answer = Message.from_bytes(data)
        if answer.kind == "refusal":
            raise VerticalError(f"party {party!r} refuses: {answer.facts['reason']}")
        if answer.kind == "failure":
            raise VerticalError(f"party {party!r} failed at {kind!r} ({answer.facts['type']}); its own log says why.")
        if answer.kind != expected:
            raise VerticalError(f"party {party!r} answered {kind!r} by {answer.kind!r}, which is no answer to it.")
        return answer

    def match(self, party: str, holding: Holding) -> list[str]:
        """The ids that the owner has in common with a party, sorted; the party knows them then too."""
        matcher = Matcher(self.owner, holding.ids)
        met = self.ask(party, "meet", "met", groups={"psi": {"request": matcher.request()}}).groups["psi"]
        common = matcher.common(met)
        theirs = self.ask(party, "match", "matched", groups={"psi": matcher.answer(met["request"])}).facts["common"]
        if theirs != len(common):
            raise VerticalError(f"party {party!r} found {theirs} common ids, and {self.owner!r} {len(common)}.")
        return common
