"""How a coordinator reaches silos: in its own process, or through actors of Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cluster.user_error import UserError
from federated.border import folder_name
from federated.secure_aggregation.identity import Identity, Registry
from federated.silo import Silo
from federated.silo_host import SiloHost, answers
from federated.source import Source

Ticket = Any  # of a request under way; a reference of Ray's object store is one
LONGEST = 1e6  # seconds that Ray is asked to wait
RESTARTS = 3  # of a host whose process was lost
TOGETHER = 8  # silos of one host that answer in one call: so many wait for one that is late
INLINE = 90_000  # bytes of a question that travel with the call; a longer one is put where all hosts can read it


class LostSiloError(UserError):
    """A silo whose process is gone, or was lost while it worked."""


class Channel(Protocol):
    """silos: the names of those that can be asked."""

    @property
    def silos(self) -> tuple[str, ...]: ...

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        """Sends the same bytes to these silos."""
        ...

    def wait(self, tickets: Mapping[str, Ticket], seconds: float) -> list[str]:
        """The silos of which something has come back: at least one, unless the seconds are over."""
        ...

    def take(self, ticket: Ticket) -> bytes:
        """What came back. Raises LostSiloError where the silo was lost."""
        ...


class SigningChannel(Channel, Protocol):
    """registry: the public keys of silos that sign; none where no job is secure."""

    @property
    def registry(self) -> Registry: ...


class Direct:
    """Silos in this very process, one after the other: for tests, and as the floor that Ray is measured against.

    identities: by silo, for secure jobs. kind: of silos.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        folder: Path | None = None,
        identities: Mapping[str, Identity] | None = None,
        *,
        kind: type[Silo] = Silo,
    ) -> None:
        known = identities or {}
        self.registry = registry_of(known)
        self._silos = {
            s.name: kind(s, folder / folder_name(s.name) if folder else None, known.get(s.name)) for s in sources
        }

    @property
    def silos(self) -> tuple[str, ...]:
        return tuple(self._silos)

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        told = answers({silo: self._silos[silo] for silo in silos}, request)
        if (error := next((answer for answer in told.values() if isinstance(answer, Exception)), None)) is not None:
            raise error
        return dict(told)

    def wait(self, tickets: Mapping[str, Ticket], seconds: float) -> list[str]:
        return list(tickets)

    def take(self, ticket: Ticket) -> bytes:
        return bytes(ticket)


@dataclass(frozen=True)
class OnRay:
    """Silos in actors. hosts: silo → the handle of its host; handles travel, so a coordinator may be an actor too.

    sources: silo → references to its source and, where it has one, its identity in the object store, inside a list, so
    that they are opened by the host alone, at its first question: also by one that Ray has started anew.
    """

    hosts: dict[str, Any] = field(repr=False)
    sources: dict[str, list[Any]] = field(repr=False)
    registry: Registry = field(default_factory=dict, repr=False)

    @property
    def silos(self) -> tuple[str, ...]:
        return tuple(self.hosts)

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        shared = _shared(request)
        return {silo: self.hosts[silo].answer.remote(silo, self.sources[silo], shared) for silo in silos}

    def wait(self, tickets: Mapping[str, Ticket], seconds: float) -> list[str]:
        import ray

        by_reference = {reference: silo for silo, reference in tickets.items()}
        waiting = list(by_reference)
        ready, _ = ray.wait(waiting, num_returns=1, timeout=max(0.0, min(seconds, LONGEST)))
        if ready:  # and all others that have come meanwhile
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [by_reference[reference] for reference in ready]

    def take(self, ticket: Ticket) -> bytes:
        import ray

        try:
            told = ray.get(ticket)
        except ray.exceptions.RayError as error:
            raise LostSiloError(f"its process ended ({type(error).__name__})") from error
        if isinstance(told, str):
            raise LostSiloError(told)
        return bytes(told)


@dataclass(frozen=True)
class Together(OnRay):
    """Hosts that are asked for several of their silos by one call: a quarter of what a call for each of them costs.
    Their answers come together, too: a silo that is late, or whose process is lost, keeps those of its mates."""

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        shared = _shared(request)
        by_host: dict[Any, list[str]] = {}
        for silo in silos:
            by_host.setdefault(self.hosts[silo], []).append(silo)
        tickets: dict[str, Ticket] = {}
        for host, held in by_host.items():
            for begin in range(0, len(held), TOGETHER):
                few = held[begin : begin + TOGETHER]
                sources = [self.sources[silo] for silo in few]
                told = host.answers.options(num_returns=len(few)).remote(few, sources, shared)
                tickets |= zip(few, told if len(few) > 1 else [told], strict=True)
        return tickets


def start_hosts(
    sources: Sequence[Source],
    *,
    hosts: int,
    folder: Path | None = None,
    cpus: float = 1.0,
    threads: int = 1,
    identities: Mapping[str, Identity] | None = None,
    kind: type[Silo] = Silo,
) -> tuple[OnRay, list[Any]]:
    """Actors that own these silos, dealt out to `hosts` of them in turn, and how they are reached.

    folder: where each silo keeps its audit file and what survives its process; the same on every node. identities: by
    silo, for secure jobs. kind: of silos. The caller keeps what it gets, since the rows are its own, and ends the
    actors with `end_hosts`.
    """
    import ray

    # A question lost with its process waits for the next one, whose silos then say that they know nothing of it.
    options = {"num_cpus": cpus, "max_restarts": RESTARTS, "max_task_retries": RESTARTS}
    where = str(folder) if folder else None
    host = ray.remote(SiloHost).options(**options)
    known = identities or {}
    held = {s.name: [ray.put(part) for part in (s, known.get(s.name)) if part is not None] for s in sources}
    made = [host.remote(where, threads, kind) for _ in range(min(hosts, len(sources)))]
    reached = {source.name: made[place % len(made)] for place, source in enumerate(sources)}
    return Together(reached, held, registry_of(known)), made


def _shared(request: bytes) -> Any:
    """A question as calls carry it."""
    import ray

    return request if len(request) <= INLINE else ray.put(request)


def registry_of(identities: Mapping[str, Identity]) -> Registry:
    """The public keys that all of these know of one another; none where there are none."""
    return next((identity.registry for identity in identities.values()), {})


def end_hosts(actors: Sequence[Any]) -> None:
    """Ends these actors for good."""
    import ray

    for actor in actors:
        ray.kill(actor, no_restart=True)
