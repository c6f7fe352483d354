"""Horovod ranks that may come and go, by elastic Horovod's own driver.

Horovod's ElasticRayExecutor counts by hosts: one rank that dies takes all of its node's with it, for good. Here each
rank is a host of its own to the driver, so that only what died is given up, and a new one takes its seat.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import ray
from horovod.runner.elastic.discovery import HostDiscovery
from horovod.runner.elastic.driver import ElasticDriver
from horovod.runner.elastic.rendezvous import create_rendezvous_handler
from horovod.runner.gloo_run import create_run_env_vars, create_slot_env_vars
from horovod.runner.http.http_server import RendezvousServer

from cluster.address import node_address
from framework.training.failure import HorovodLostError, TrainingError
from framework.training.horovod.rank import Ended, Work
from framework.training.horovod.seats import POLL_SECONDS, Seats

WAIT_SECONDS = 600  # for enough ranks to go on with
LIVES = 10  # how often ranks may come or go in one run, for each worker


class _Discovery(HostDiscovery):  # type: ignore[misc]
    def __init__(self, seats: Seats) -> None:
        self.seats = seats

    def find_available_hosts_and_slots(self) -> dict[str, int]:
        return dict.fromkeys(self.seats.names(), 1)


def run_elastic(work: Work, seats: Seats, *, fewest: int, deadline: float, listen: Callable[[], None]) -> Ended:
    """The end of rank 0, or of the first rank whose loop raised. Raises HorovodLostError when too few are left."""
    rendezvous = RendezvousServer()
    driver = ElasticDriver(
        rendezvous,
        _Discovery(seats),
        min_num_proc=fewest,
        max_num_proc=seats.workers,
        timeout=WAIT_SECONDS,
        reset_limit=LIVES * seats.workers,
    )
    try:
        port = rendezvous.start(_guarded(create_rendezvous_handler(driver)))
        rendezvous._httpd.daemon_threads = True  # they may wait for ranks that never come
        environment = create_run_env_vars(node_address(), ["lo"], port, elastic=True)
        shift = _Shift(work, seats, driver, environment)
        driver.start(len(seats.names()), shift.attend)
        told = _results(driver)
        while told.is_alive():
            told.join(POLL_SECONDS)
            listen()
            if time.time() > deadline:
                raise TrainingError("Horovod's ranks were not done at their deadline.")
        return shift.end()
    finally:
        if not driver.finished():
            driver.stop()
        driver._worker_registry._barrier.abort()  # whoever waits for the others there
        rendezvous._httpd.socket.close()


class _Shift:
    """Who attends to the ranks: one thread a rank, which Horovod's driver starts."""

    def __init__(self, work: Work, seats: Seats, driver: Any, environment: dict[str, Any]) -> None:
        self.work, self.seats, self.driver, self.environment = work, seats, driver, environment
        self.ends: list[Ended] = []
        self.causes: list[BaseException] = []

    def attend(self, slot: Any, events: Sequence[threading.Event]) -> tuple[int, float]:
        """Runs one rank to its end. Returns (0 for a good one, when), as Horovod wants it."""
        try:
            actor = self.seats.actor(slot.hostname)
        except KeyError:
            return 1, time.time()
        try:
            actor.update_env_vars.remote({**self.environment, **create_slot_env_vars(slot)})
            running = actor.execute.remote(self.work)
            while not ray.wait([running], timeout=POLL_SECONDS)[0]:
                if any(event.is_set() for event in events):
                    self.seats.lose(slot.hostname)
                    return 1, time.time()
            end: Ended = ray.get(running)
        except ray.exceptions.RayError as error:
            end = Ended(-1, None, error, lost=True)
        if end.error is None:
            self.ends.append(end)
            return 0, time.time()
        if end.lost:
            self.causes.append(end.error)
            self.seats.lose(slot.hostname)
            return 1, time.time()
        # The loop itself raised: it would do so again, with fewer ranks.
        self.ends.append(end)
        self.driver.stop()
        return 1, time.time()

    def end(self) -> Ended:
        for end in self.ends:
            if end.error is not None or end.rank == 0:
                return end
        raise HorovodLostError(
            f"{len(self.causes)} Horovod ranks died, and too few were left to go on. {self.work.way_on}"
        ) from (self.causes[0] if self.causes else None)


def _results(driver: Any) -> threading.Thread:
    """Waits for the ranks of the driver on a thread, so that this one can listen and look at the clock."""
    thread = threading.Thread(target=driver.get_results, daemon=True)
    thread.start()
    return thread


def _guarded(handler: type) -> type:
    """The same handler, for this cluster's nodes alone: it listens on every interface and unpickles what it is sent."""

    class Guarded(handler):  # type: ignore[misc]
        def parse_request(self) -> bool:
            known = {"127.0.0.1", *(node["NodeManagerAddress"] for node in ray.nodes())}
            return self.client_address[0] in known and bool(super().parse_request())

        def handle_one_request(self) -> None:
            with suppress(threading.BrokenBarrierError, ConnectionError):  # the run is over
                super().handle_one_request()

    return Guarded
