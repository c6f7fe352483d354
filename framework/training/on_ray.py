"""Where a training loop runs on Ray Train V2: the one place that knows its traps."""

import logging
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from cluster.resources import Resources, living_nodes
from framework.contender import Context
from framework.training.failure import TrainingError, of_controller, of_workers
from framework.training.memory import WORKER_ENVIRONMENT
from framework.training.pace import pause
from framework.training.seat import enter, newest, rank, remark, report, size
from framework.training.shelf import KEPT, RUN, absolute, shelf_of

__all__ = ["RUN", "newest", "rank", "remark", "report", "run", "size"]

FAILURES = 3  # lost workers, until the run ends
ELASTIC_FAILURES = 20  # the same where nodes come and go
START_SECONDS = 30.0  # for a group of workers to get its CPUs, until its size is thought over
WAIT_SECONDS = 600.0  # without any worker
RESIZE_SECONDS = 15.0  # between two looks whether a node came back
GRACE_SECONDS = 1.0  # past the deadline, for loops that look at it themselves


def run(
    loop: Callable[[dict[str, Any]], Any],
    facts: dict[str, Any],
    *,
    engine: Literal["torch", "xgboost", "lightgbm"],
    resources: Resources,
    context: Context,
    fewest: int | None = None,
) -> Any:
    """What rank 0's `loop(facts)` returned, run on `resources.workers` processes with the engine's network set up.

    loop: a function of a module that the workers can import. facts: plain data and Ray references; large arrays by
    `ray.put`. fewest: with how many workers it may go on when nodes are lost; None: it waits for all of them.
    With `context.checkpoints` it goes on from what lies there; without, a fresh run whose checkpoints end with it.
    Raises what a loop raised where that is a UserError, else TrainingError; ResourcesError when the cluster is too
    small. Nothing of it runs on when this returns or raises, or when this process is killed.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # Ray Train takes one report a poll
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(START_SECONDS))
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

    from framework.training.conductor import conducted
    from framework.training.guard import Guard

    _check(resources, fewest)
    for name in ("ray.train", "ray.data"):
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.WARNING)
    shelf = shelf_of(context.checkpoints) if context.checkpoints else None
    folder = context.checkpoints or str(context.folder.absolute())
    here = {ray._raylet.RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}
    guard = ray.remote(Guard).options(num_cpus=0, lifetime="detached", label_selector=here).remote()

    def listen() -> float:
        reports, remarks, idle = ray.get(guard.drain.remote())
        for step, metrics in reports:
            context.report(step, **metrics)
        for sentence in remarks:
            context.remark(sentence)
        return float(idle)

    def attend(seconds: float) -> float:
        if listen() > WAIT_SECONDS:
            raise TrainingError(
                f"no room for {fewest or resources.workers} worker(s) for {WAIT_SECONDS / 60:.0f} minutes. Ask for "
                f"fewer workers, or wait until others have finished."
            )
        left = context.deadline + GRACE_SECONDS - time.time()
        if left < 0:
            raise TrainingError(f"the workers were not done at their deadline, {seconds:.0f} s after they were asked.")
        return min(pause(seconds), left + 0.01)

    try:
        if shelf is not None:
            shelf.probe()
            if mended := shelf.mend():
                context.remark(mended)
        trainer = conducted(engine, guard=guard, attend=attend)(
            enter,
            # By reference: the controller must not need what only the workers open.
            train_loop_config={"work": ray.put((loop, facts)), "guard": guard, "shelf": shelf},
            scaling_config=ScalingConfig(
                num_workers=resources.workers if fewest is None else (fewest, resources.workers),
                use_gpu=resources.gpus > 0,
                resources_per_worker=resources.each,
                elastic_resize_monitor_interval_s=RESIZE_SECONDS,
            ),
            run_config=RunConfig(
                name=RUN if shelf is not None else f"run-{uuid.uuid4().hex[:12]}",
                storage_path=absolute(folder),
                worker_runtime_env={"env_vars": WORKER_ENVIRONMENT if engine == "torch" else {}},
                checkpoint_config=CheckpointConfig(num_to_keep=KEPT),
                failure_config=FailureConfig(
                    max_failures=FAILURES if fewest is None else ELASTIC_FAILURES,
                    controller_failure_limit=int(WAIT_SECONDS / START_SECONDS),
                ),
            ),
        )
        result = trainer.fit()
        if shelf is not None:
            shelf.tidy()
        return result.return_value
    except WorkerGroupError as error:
        raise of_workers(error.worker_failures) from error
    except TrainingFailedError as error:
        raise of_controller(getattr(error, "controller_failure", error), folder=folder) from error
    except (OSError, ray.exceptions.RayError) as error:
        raise of_controller(error, folder=folder) from error
    finally:
        with suppress(ray.exceptions.RayError):
            listen()
            ray.get(guard.release.remote())
        ray.kill(guard)


def _check(resources: Resources, fewest: int | None) -> None:
    """Raises ResourcesError or TrainingError where Ray would wait for ever."""
    import ray

    least = fewest or resources.workers
    if not 1 <= least <= resources.workers:
        raise TrainingError(f"fewest={fewest} is not between 1 and workers={resources.workers}. Change one of them.")
    asked = replace(resources, workers=least)
    asked.check(ray.cluster_resources(), who="the training run")
    asked.check_nodes(living_nodes(), who="the training run")
    held = 0.0
    with suppress(AssertionError):  # a driver is assigned nothing, and may not ask
        held = float(ray.get_runtime_context().get_assigned_resources().get("CPU", 0.0))
    if held and resources.cpus * least > ray.cluster_resources().get("CPU", 0.0) - held:
        raise TrainingError(
            f"this process holds {held:g} CPU of the cluster, and what is left does not do for {least} worker(s) with "
            f"{resources.cpus:g} CPU each. A fit that conducts others takes none: Resources(apart=True)."
        )
