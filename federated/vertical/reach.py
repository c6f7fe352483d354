"""Where parties are: in the owner's own process, or in actors of Ray that own their columns."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from federated.border import folder_name
from federated.channel import LONGEST, RESTARTS, Ticket, end_hosts
from federated.vertical.holding import Holding
from federated.vertical.party import Link, Party

log = logging.getLogger(__name__)

Answers = list[bytes] | str  # to each question of one party; or why there are none


class Reach(Protocol):
    """How the owner reaches parties, several questions to each at once, which it answers in their order."""

    def ask(self, questions: Mapping[str, Sequence[bytes]]) -> dict[str, Ticket]:
        """questions: party → its messages, as bytes."""
        ...

    def collect(self, tickets: Mapping[str, Ticket], seconds: float) -> dict[str, Answers]:
        """What has come back in so many seconds, by party, at once when it is all. Who is late is missing."""
        ...


class Near:
    """Parties in this very process, one after the other. links: how each is reached."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = dict(links)

    def ask(self, questions: Mapping[str, Sequence[bytes]]) -> dict[str, Ticket]:
        return {party: [self._links[party](request) for request in asked] for party, asked in questions.items()}

    def collect(self, tickets: Mapping[str, Ticket], seconds: float) -> dict[str, Answers]:
        return dict(tickets)


class PartyHost:
    """The actor that owns parties: one where they are to stand apart, or several.

    audit: below which each has a folder for its audit file; None: it writes none. kept: the same, of this fit alone,
    for what a successor goes on from when the process is lost. threads: of torch.
    """

    def __init__(self, audit: str | None, kept: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._audit, self._kept = audit, kept
        self._parties: dict[str, Party] = {}

    def answers(
        self, questions: Mapping[str, Sequence[bytes]], given: Mapping[str, list[Ticket]]
    ) -> dict[str, Answers]:
        """What each party answers. One that cannot be opened, or cannot write down what it would send, takes no other
        one with it. given: party → references to what it holds and to the ids agreed on before; opened at its first
        question."""
        told: dict[str, Answers] = {}
        for party, asked in questions.items():
            try:
                told[party] = self._opened(party, given[party]).answers(asked)
            except Exception as error:  # the party's own border
                log.exception("party %r cannot answer", party)
                told[party] = f"it cannot answer ({type(error).__name__})"
        return told

    def _opened(self, party: str, given: list[Ticket]) -> Party:
        import ray

        if party not in self._parties:
            holding, agreed = map(ray.get, given)
            folder = Path(self._audit) / folder_name(party) if self._audit else None
            self._parties[party] = Party(holding, folder, agreed, kept=Path(self._kept) / folder_name(party))
        return self._parties[party]


@dataclass(frozen=True)
class Far:
    """Parties in actors. hosts: party → the handle of its host, which is asked for all of its parties by one call: a
    call of Ray costs more than an answer does. given: as `PartyHost.answers` has it, with each call, since a host may
    be one that Ray has just started anew."""

    hosts: dict[str, Any] = field(repr=False)
    given: dict[str, list[Ticket]] = field(repr=False)

    def ask(self, questions: Mapping[str, Sequence[bytes]]) -> dict[str, Ticket]:
        by_host: dict[Any, dict[str, Sequence[bytes]]] = {}
        for party, asked in questions.items():
            by_host.setdefault(self.hosts[party], {})[party] = asked
        tickets: dict[str, Ticket] = {}
        for host, asked_here in by_host.items():
            given = {party: self.given[party] for party in asked_here}
            tickets |= dict.fromkeys(asked_here, host.answers.remote(asked_here, given))
        return tickets

    def collect(self, tickets: Mapping[str, Ticket], seconds: float) -> dict[str, Answers]:
        import ray

        calls = list(dict.fromkeys(tickets.values()))
        ready, _ = ray.wait(calls, num_returns=len(calls), timeout=max(0.0, min(seconds, LONGEST)))
        told: dict[str, Answers] = {}
        for call in ready:
            try:
                told |= ray.get(call)
            except ray.exceptions.RayError as error:
                why = f"its process ended ({type(error).__name__})"
                told |= {party: why for party, ticket in tickets.items() if ticket == call}
        return told


@contextmanager
def reached(
    parties: Sequence[Holding],
    *,
    agreed: Sequence[str] | None,
    audit: Path | None,
    folder: Path,
    hosts: int,
    cpus: float = 1.0,
) -> Iterator[Reach]:
    """The parties, as long as this lasts: no actor outlives it.

    hosts: actors that they are dealt out to in turn; 0: they are in this process. folder: where parties in actors keep,
    each below a folder of its own that is gone afterwards, what they go on from. agreed, audit: as `Party` and
    `PartyHost` have them.
    """
    if not hosts or not parties:
        yield Near({p.name: Party(p, audit / folder_name(p.name) if audit else None, agreed).answer for p in parties})
        return
    import ray

    from cluster.connect import connect

    connect()
    made: list[Any] = []
    # A question that was lost with its process is asked again by Ray; the new process says that it knows nothing of it.
    options = {"num_cpus": cpus, "max_restarts": RESTARTS, "max_task_retries": RESTARTS}
    host = ray.remote(PartyHost).options(**options)
    with TemporaryDirectory(prefix="parties-", dir=folder, ignore_cleanup_errors=True) as kept:
        try:
            for _ in range(min(hosts, len(parties))):
                made.append(host.remote(str(audit) if audit else None, kept, max(1, int(cpus))))
            known = ray.put(agreed)
            given = {party.name: [ray.put(party), known] for party in parties}
            yield Far({party.name: made[place % len(made)] for place, party in enumerate(parties)}, given)
        finally:
            end_hosts(made)
