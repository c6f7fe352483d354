"""Where parties are: in the owner's own process, or in actors of Ray that own their columns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from federated.channel import RESTARTS, Channel, OnRay, Ticket, end_hosts
from federated.silo import folder_name
from federated.vertical.holding import Holding
from federated.vertical.party import Link, Party


class Near:
    """Parties in this very process, one after the other. links: how each is reached."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = dict(links)

    @property
    def silos(self) -> tuple[str, ...]:
        return tuple(self._links)

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        return {party: self._links[party](request) for party in silos}

    def wait(self, tickets: Mapping[str, Ticket], seconds: float) -> list[str]:
        return list(tickets)

    def take(self, ticket: Ticket) -> bytes:
        return bytes(ticket)


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

    def answer(self, party: str, given: list[Ticket], request: bytes) -> bytes:
        """given: references to what it holds and to the ids agreed on before, in a list; opened at the first
        question."""
        import ray

        if party not in self._parties:
            holding, agreed = map(ray.get, given)
            folder = Path(self._audit) / folder_name(party) if self._audit else None
            self._parties[party] = Party(holding, folder, agreed, kept=Path(self._kept) / folder_name(party))
        return self._parties[party].answer(request)


@contextmanager
def reached(
    parties: Sequence[Holding],
    *,
    agreed: Sequence[str] | None,
    audit: Path | None,
    folder: Path,
    hosts: int,
    cpus: float = 1.0,
) -> Iterator[Channel]:
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
            yield OnRay({party.name: made[place % len(made)] for place, party in enumerate(parties)}, given)
        finally:
            end_hosts(made)
