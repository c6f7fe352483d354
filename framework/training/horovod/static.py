"""A fixed number of Horovod ranks, by Horovod's RayExecutor."""

import time
from collections.abc import Callable

import ray
from horovod.ray import RayExecutor

from cluster.address import node_address
from framework.training.failure import HorovodLostError, TrainingError
from framework.training.horovod.rank import Ended, Work
from framework.training.horovod.seats import Seated, Seats
from framework.training.pace import pause

MEET_SECONDS = 60  # for the ranks to find each other
LAST_WORDS_SECONDS = 5.0  # the others', once one rank has failed: which of them was the cause?


def run_static(work: Work, seats: Seats, *, deadline: float, listen: Callable[[], None]) -> Ended:
    """The end of rank 0, or of the rank that failed. Raises HorovodLostError when a process died."""
    executor = RayExecutor(RayExecutor.create_settings(timeout_s=MEET_SECONDS), num_workers=seats.workers)
    prepare = executor._initialize_adapter

    def seated() -> None:
        prepare()
        executor.adapter._create_strategy = lambda: Seated(seats)

    executor._initialize_adapter = seated
    executor.start(extra_env_vars={"HOROVOD_GLOO_RENDEZVOUS_ADDR": node_address()})
    try:
        return _attend(executor.run_remote(work), work, deadline=deadline, listen=listen)
    finally:
        rendezvous = executor.adapter.coordinator.rendezvous
        executor.shutdown()
        rendezvous.stop()  # Horovod leaves it listening
        rendezvous._httpd.server_close()


def _attend(ranks: list[ray.ObjectRef], work: Work, *, deadline: float, listen: Callable[[], None]) -> Ended:
    ends: list[Ended] = []
    dead: list[Exception] = []
    waiting, until, began = list(ranks), deadline, time.time()
    while waiting:
        now = time.time()
        if now > until:
            break
        done, waiting = ray.wait(waiting, num_returns=1, timeout=min(pause(now - began), until - now + 0.01))
        for rank in done:
            try:
                ends.append(ray.get(rank))
            except ray.exceptions.RayError as error:
                dead.append(error)
        if (dead or any(end.error for end in ends)) and until == deadline:
            until = min(deadline, time.time() + LAST_WORDS_SECONDS)
        listen()
    for end in ends:
        if end.error is not None and not end.lost:
            return end
    if dead or any(end.lost for end in ends):
        cause = dead[0] if dead else next(end.error for end in ends if end.lost)
        raise HorovodLostError(
            f"{max(1, len(dead))} of {len(ranks)} Horovod ranks died (killed, out of memory, or with their "
            f"node). {work.way_on} Elastic training goes on by itself."
        ) from cause
    if waiting:
        raise TrainingError(f"{len(waiting)} of {len(ranks)} Horovod ranks were not done at their deadline.")
    return next(end for end in ends if end.rank == 0)
