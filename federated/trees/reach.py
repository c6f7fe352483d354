"""How trees' coordinator reaches silos and their tracker: threads of its own process, or actors of Ray."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from federated.border import folder_name
from federated.channel import RESTARTS, LostSiloError, OnRay, SigningChannel, Ticket, end_hosts, registry_of
from federated.message import MAGIC
from federated.secure_aggregation.identity import Identity, Registry
from federated.source import Source
from federated.trees.host import TreeHost
from federated.trees.silo import TreeSilo
from federated.trees.tracker import LOOPBACK, Gate, Tracker

GRACE_SHARE = 0.1  # of a session's time, kept for silos that wait for a late one to say so
LONGEST_GRACE = 10.0
GIVEN_UP = tuple(
    MAGIC + f'{{"kind": "{kind}"'.encode() for kind in ("broken", "failure", "refusal", "withdrawn")
)  # answers


class Meeting(Protocol):
    """A tracker, wherever it runs; see `Tracker`."""

    def open(self, silos: Mapping[str, str]) -> Gate: ...
    def stop(self, why: str) -> None: ...
    def told(self) -> tuple[str, dict[str, int], dict[str, int]]: ...


class Threads:
    """Silos in this very process, a thread for each: while trees grow they wait for one another."""

    def __init__(
        self,
        sources: Sequence[Source],
        folder: Path | None = None,
        identities: Mapping[str, Identity] | None = None,
    ) -> None:
        known = identities or {}
        self.registry = registry_of(known)
        self._silos = {
            s.name: TreeSilo(s, folder / folder_name(s.name) if folder else None, known.get(s.name)) for s in sources
        }
        self._pool = ThreadPoolExecutor(len(self._silos), thread_name_prefix="silo")

    @property
    def silos(self) -> tuple[str, ...]:
        return tuple(self._silos)

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        return {silo: self._pool.submit(self._silos[silo].answer, request) for silo in silos}

    def wait(self, tickets: Mapping[str, Ticket], seconds: float) -> list[str]:
        done, _ = wait(tickets.values(), None if seconds == float("inf") else seconds, FIRST_COMPLETED)
        return [silo for silo, ticket in tickets.items() if ticket in done]

    def take(self, ticket: "Future[bytes]") -> bytes:
        return ticket.result()

    def close(self) -> None:
        self._pool.shutdown()


class Nowhere:
    """No tracker, for silos that do not meet."""

    def open(self, silos: Mapping[str, str]) -> Gate:
        raise NotImplementedError("silos that grow trees of their own meet nowhere")

    def stop(self, why: str) -> None:
        """Nobody waits."""

    def told(self) -> tuple[str, dict[str, int], dict[str, int]]:
        return "", {}, {}

    def close(self) -> None:
        """There is nothing to end."""


@dataclass(frozen=True)
class RemoteTracker:
    """A tracker in an actor of its own."""

    actor: Any

    def open(self, silos: Mapping[str, str]) -> Gate:
        import ray

        gate: Gate = ray.get(self.actor.open.remote(silos))
        return gate

    def stop(self, why: str) -> None:
        self.actor.stop.remote(why)

    def told(self) -> tuple[str, dict[str, int], dict[str, int]]:
        import ray

        told: tuple[str, dict[str, int], dict[str, int]] = ray.get(self.actor.told.remote())
        return told


@dataclass(frozen=True)
class Guarded:
    """A channel that stops the session as soon as a silo is lost or gives up, or the time is almost over: those who
    wait for it inside XGBoost hear of it at once, and are free for the next session."""

    channel: SigningChannel
    stop: Callable[[str], None]

    @property
    def silos(self) -> tuple[str, ...]:
        return self.channel.silos

    @property
    def registry(self) -> Registry:
        return self.channel.registry

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        return self.channel.ask(silos, request)

    def wait(self, tickets: Mapping[str, Ticket], seconds: float) -> list[str]:
        grace = min(LONGEST_GRACE, GRACE_SHARE * seconds)
        if ready := self.channel.wait(tickets, seconds - grace):
            return ready
        self.stop("a silo is late")
        return self.channel.wait(tickets, grace)

    def take(self, ticket: Ticket) -> bytes:
        try:
            data = self.channel.take(ticket)
        except LostSiloError:
            self.stop("a silo is lost")
            raise
        if any(data.startswith(head) for head in GIVEN_UP):
            self.stop("a silo broke off")
        return data


@contextmanager
def reached(
    sources: Sequence[Source],
    folder: Path | None,
    *,
    hosts: int,
    cpus: float,
    tracked: bool = True,
    identities: Mapping[str, Identity] | None = None,
) -> Iterator[tuple[SigningChannel, Meeting]]:
    """Silos, and where tracked the tracker that they meet at: none of its threads and actors outlives this.

    hosts: actors that the silos are dealt out to in turn; 0: all are in this process. The tracker has an actor of its
    own then, on loopback where all silos are on one node, else at the address of its node. identities: by silo, for
    secure jobs.
    """
    if hosts:
        with (
            _hosts(sources, folder, hosts=hosts, cpus=cpus, identities=identities or {}) as (channel, made),
            _tracker_near(made) if tracked else nullcontext(Nowhere()) as far,
        ):
            yield channel, far
        return
    silos, near = Threads(sources, folder, identities), Tracker() if tracked else Nowhere()
    try:
        yield silos, near
    finally:
        near.stop("the fit is over")
        silos.close()
        near.close()


@contextmanager
def _hosts(
    sources: Sequence[Source], folder: Path | None, *, hosts: int, cpus: float, identities: Mapping[str, Identity]
) -> Iterator[tuple[OnRay, list[Any]]]:
    import ray

    count = min(hosts, len(sources))
    threads = -(-len(sources) // count)
    options = {"num_cpus": cpus, "max_restarts": RESTARTS, "max_task_retries": RESTARTS, "max_concurrency": threads}
    made = [ray.remote(TreeHost).options(**options).remote(str(folder) if folder else None) for _ in range(count)]
    try:
        where = {source.name: made[place % count] for place, source in enumerate(sources)}
        held = {s.name: [ray.put(part) for part in (s, identities.get(s.name)) if part is not None] for s in sources}
        yield OnRay(where, held, registry_of(identities)), made
    finally:
        end_hosts(made)


@contextmanager
def _tracker_near(hosts: Sequence[Any]) -> Iterator["RemoteTracker"]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    places = ray.get([host.where.remote() for host in hosts])
    node, own = places[0]
    address = LOOPBACK if all(place[0] == node for place in places) else own
    near = NodeAffinitySchedulingStrategy(node, soft=False)
    actor = ray.remote(Tracker).options(num_cpus=0, max_concurrency=4, scheduling_strategy=near).remote(address)
    try:
        yield RemoteTracker(actor)
    finally:
        end_hosts([actor])
