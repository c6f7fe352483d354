"""The training loop on Horovod's ranks, each a Ray actor: a fixed number of them, or as many as there are."""

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cluster.resources import Resources, living_nodes
from cluster.user_error import UserError
from framework.contender import Context
from framework.training.failure import HorovodLostError, TrainingError

if TYPE_CHECKING:
    from framework.training.crew import Crew
    from framework.training.horovod.rank import Ended, Work

__all__ = ["HorovodLostError", "HorovodMissingError", "HorovodStartError", "run"]

START_SECONDS = 60.0
GRACE_SECONDS = 1.0  # past the deadline, for loops that look at it themselves


class HorovodMissingError(UserError):
    """Horovod's wheel is not in this environment."""


class HorovodStartError(TrainingError):
    """Too few ranks started in time."""


def run(
    loop: "Callable[[Crew, dict[str, Any]], Any]",
    facts: dict[str, Any],
    *,
    resources: Resources,
    context: Context,
    fewest: int | None = None,
    start_seconds: float = START_SECONDS,
) -> Any:
    """What `loop(crew, facts)` returned on rank 0, of `resources.workers` ranks. Ray is connected.

    facts: plain data and Ray references; sent once, through Ray's object store.
    fewest: elastic: when ranks die it goes on from the last checkpoint with what is left, down to this many, and new
    ranks join at a later checkpoint. None: all of them or none.
    With `context.checkpoints` it goes on from what lies there, Ray Train's checkpoints included.
    start_seconds: how long ranks may take to start.
    Raises what the loop raised; HorovodMissingError, HorovodStartError, HorovodLostError; TrainingError past the
    deadline; ResourcesError when the cluster is too small. Nothing of it runs on, or stays reserved, when this returns
    or raises, or when this process is killed.
    """
    if find_spec("horovod") is None:
        raise HorovodMissingError(
            "Horovod is not installed here. Build it with `make horovod` (two minutes; the wheel is kept for the next "
            "environment), or train with TorchDDP, which does the same without it."
        )
    import ray

    from framework.training.horovod.rank import Mailbox, Work
    from framework.training.shelf import shelf_of

    asked = replace(resources, workers=fewest or resources.workers)
    asked.check(ray.cluster_resources(), who="Horovod")
    asked.check_nodes(living_nodes(), who="Horovod")
    checkpoints = shelf_of(context.checkpoints).uri if context.checkpoints else None
    here = {ray._raylet.RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}
    mailbox = ray.remote(Mailbox).options(num_cpus=0, label_selector=here).remote()
    work = Work(loop, ray.put(facts), checkpoints, mailbox, resources.gpus, elastic=fewest is not None)

    def listen() -> None:
        reports, remarks = ray.get(mailbox.drain.remote(), timeout=START_SECONDS)
        for step, metrics in reports:
            context.report(step, **metrics)
        for sentence in remarks:
            context.remark(sentence)

    try:
        ended = _launch(work, resources, fewest, start_seconds, context.deadline + GRACE_SECONDS, listen)
        listen()
    finally:
        ray.kill(mailbox)
    if ended.error is not None:
        raise ended.error
    return ended.result


def _launch(
    work: "Work",
    resources: Resources,
    fewest: int | None,
    start_seconds: float,
    deadline: float,
    listen: Callable[[], None],
) -> "Ended":
    from framework.training.horovod.seats import Seats

    start_seconds = max(1.0, min(start_seconds, deadline - time.time()))
    seats = Seats(resources)
    try:
        ready = seats.wait(start_seconds)
        if ready < (fewest or resources.workers):
            raise HorovodStartError(
                f"{ready} of {resources.workers} Horovod ranks with {resources.cpus:g} CPU and {resources.gpus:g} GPU "
                f"each had started after {start_seconds:g} s. Ask for fewer workers, connect to a larger cluster "
                f"(RAY_ADDRESS), or wait until it is free."
            )
        if fewest is None:
            from framework.training.horovod.static import run_static

            return run_static(work, seats, deadline=deadline, listen=listen)
        from framework.training.horovod.elastic import run_elastic

        return run_elastic(work, seats, fewest=fewest, deadline=deadline, listen=listen)
    finally:
        seats.close()
