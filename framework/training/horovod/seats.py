"""The Ray actors that are Horovod's ranks, or will be when they have started."""

import threading
import time
from dataclasses import replace
from typing import Any

import ray
from horovod.ray.strategy import BaseStrategy
from horovod.ray.worker import BaseHorovodWorker

from cluster.resources import Resources

POLL_SECONDS = 0.2  # between two looks at the ranks


class Seat(BaseHorovodWorker):  # type: ignore[misc]
    """Horovod's worker, asking for its node in the way that Ray 2.60 has not deprecated."""

    def node_id(self) -> str:
        return str(ray.get_runtime_context().get_node_id())


class Seats:
    """Up to `resources.workers` actors; one that is lost is asked for anew.

    They are ordinary actors, in no placement group: Ray ends them with the process that asked for them, while a group
    would stay reserved until the end of its job when a fit inside a contest is killed.
    """

    def __init__(self, resources: Resources) -> None:
        self.workers = resources.workers
        self._seat = ray.remote(Seat).options(**replace(resources, apart=False).options())
        self._lock = threading.Lock()
        self._starting: dict[Any, Any] = {}  # what answers once it has started → the actor
        self._taken: dict[str, Any] = {}  # name → the actor
        self._count = 0
        self._closed = False
        for _ in range(self.workers):
            self._ask()

    def wait(self, seconds: float) -> int:
        """Waits until all have started, or this long. Returns how many have."""
        until = time.monotonic() + seconds
        while len(self.names()) < self.workers and time.monotonic() < until:
            with self._lock:
                starting = list(self._starting)
            if starting:
                ray.wait(starting, num_returns=1, timeout=max(0.0, min(1.0, until - time.monotonic())))
            else:
                time.sleep(0.1)
        return len(self.names())

    def names(self) -> list[str]:
        """Those that have started and are not known to be lost, in the order they came."""
        with self._lock:
            starting = list(self._starting)
            started = ray.wait(starting, num_returns=len(starting), timeout=0)[0] if starting else []
            for answer in started:
                actor = self._starting.pop(answer)
                try:
                    node = ray.get(answer)
                except ray.exceptions.RayError:
                    self._ask()
                    continue
                self._count += 1
                self._taken[f"{node[:12]}-{self._count}"] = actor
            return list(self._taken)

    def actor(self, name: str) -> Any:
        with self._lock:
            return self._taken[name]

    def lose(self, name: str) -> None:
        """Gives up an actor that died or went wrong, and asks for another."""
        with self._lock:
            actor = self._taken.pop(name, None)
            if actor is not None:
                ray.kill(actor)
                if not self._closed:
                    self._ask()

    def close(self) -> None:
        """Ends them all."""
        with self._lock:
            self._closed = True
            for actor in [*self._starting.values(), *self._taken.values()]:
                ray.kill(actor)
            self._starting, self._taken = {}, {}

    def _ask(self) -> None:
        actor = self._seat.remote()
        self._starting[actor.node_id.remote()] = actor


class Seated(BaseStrategy):  # type: ignore[misc]
    """Horovod's view of seats that are already taken: its own strategies reserve placement groups."""

    def __init__(self, seats: Seats) -> None:
        # One node's ranks must follow each other: Horovod counts them node by node.
        self.workers = [seats.actor(name) for name in sorted(seats.names())]

    @property
    def num_workers(self) -> int:
        return len(self.workers)

    def create_workers(self) -> tuple[list[Any], list[Any]]:
        ray.get([actor.update_env_vars.remote(self._place(rank)) for rank, actor in enumerate(self.workers)])
        return self.workers, self.get_node_workers(self.workers)

    def shutdown(self) -> None:
        self.workers = []

    def _place(self, rank: int) -> dict[str, str]:
        return {"HOROVOD_RANK": str(rank), "HOROVOD_SIZE": str(self.num_workers)}
