"""Ray Train V2 with its edges taken off: imported only where a distributed run starts."""

import time
import uuid
from collections.abc import Callable
from importlib import import_module
from typing import Any

import ray
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import get_env_vars_to_propagate
from ray.train.v2._internal.execution.callback import ReplicaGroupCallback, WorkerGroupCallback
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2._internal.execution.worker_group.placement_group_handle import DefaultPlacementGroupHandle
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError
from ray.util.placement_group import placement_group

from cluster.address import speak_here
from framework.training.failure import lasting
from framework.training.guard import group_name
from framework.training.pace import pause

TRAINERS = {"torch": "TorchTrainer", "xgboost": "XGBoostTrainer", "lightgbm": "LightGBMTrainer"}
# Ray's own cleaner asks the dashboard, which need not be there, and then stays for ever; Ray Data's processes would
# serve nobody: rows come by reference, or from files.
UNWANTED = (PlacementGroupCleanerCallback, DatasetsCallback)
ABORT_SECONDS = 5.0  # for a controller to stop its workers in good order


class Forgiving(DefaultFailurePolicy):  # type: ignore[misc]
    """Starts again after a lost worker or node; not after an error that would come again."""

    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        if isinstance(training_failed_error, WorkerGroupError) and lasting(training_failed_error.worker_failures):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)


class Named(WorkerGroup):  # type: ignore[misc]
    """Workers whose placement group bears the controller's name from its first moment: it can be found, and removed,
    whenever the controller is killed. Ray itself would keep it until the whole job ends."""

    def _create_placement_group(self, scaling_config: Any, worker_group_context: Any) -> Any:
        if scaling_config.use_tpu:
            return super()._create_placement_group(scaling_config, worker_group_context)
        each, workers = worker_group_context.resources_per_worker, worker_group_context.num_workers
        group = placement_group(
            bundles=[each] * workers,
            strategy=worker_group_context.placement_strategy,
            bundle_label_selector=worker_group_context.label_selector,
            name=group_name(ray.get_runtime_context().get_actor_id(), uuid.uuid4().hex),
        )
        return DefaultPlacementGroupHandle(group)


class Patient(TrainController):  # type: ignore[misc]
    """Looks at its workers the less often the longer they have trained."""

    worker_group_cls = Named
    _health_check_interval_s: float
    looked_at: Any = None
    since = shortest = 0.0

    async def _poll_workers(self) -> Any:
        if self._worker_group is not self.looked_at:
            self.looked_at, self.since = self._worker_group, time.monotonic()
            self.shortest = self.shortest or self._health_check_interval_s
        self._health_check_interval_s = pause(time.monotonic() - self.since, self.shortest)
        return await super()._poll_workers()


class Spoken(ReplicaGroupCallback, WorkerGroupCallback):  # type: ignore[misc]
    """Lets every worker speak to the others by its node's own interface, before the engine's network is set up."""

    def after_execution_group_start(self, execution_group: Any) -> None:
        execution_group.execute(speak_here)


class Told(WorkerGroupCallback):  # type: ignore[misc]
    """Tells the guard when workers run."""

    def __init__(self, guard: Any) -> None:
        self.guard = guard

    def after_worker_group_start(self, worker_group: Any) -> None:
        self.guard.begun.remote(worker_group.get_worker_group_state().num_workers)

    def before_worker_group_shutdown(self, worker_group: Any) -> None:
        self.guard.ended.remote()


def conducted(engine: str, *, guard: Any, attend: Callable[[float], float]) -> Any:
    """The trainer class of an engine whose `fit` can be left at any moment, with nothing running on.

    attend: called while workers train, with the seconds since they were asked for. Returns after how many to call it
    again, or raises to end the run.
    """

    trainer: Any = getattr(import_module(f"ray.train.{engine}"), TRAINERS[engine])

    class Conducted(trainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            theirs = [each for each in super()._create_default_callbacks() if not isinstance(each, UNWANTED)]
            return [Spoken(), *theirs, Told(guard)]

        def _initialize_and_run_controller(self, **start: Any) -> Any:
            start["failure_policy"] = Forgiving(self.run_config.failure_config)
            here = {ray._raylet.RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}
            actor = ray.remote(num_cpus=0, label_selector=here, runtime_env={"env_vars": get_env_vars_to_propagate()})(
                Patient
            )
            controller = actor.remote(**start)
            try:
                ray.get(guard.watch.remote(controller))  # before there is anything to clear up
                running = controller.run.remote()
                began = time.time()
                while not ray.wait([running], timeout=attend(time.time() - began))[0]:
                    continue
                ray.get(running)
                return ray.get(controller.get_result.remote())
            except BaseException:
                ray.wait([controller.abort.remote()], timeout=ABORT_SECONDS)
                raise
            finally:
                ray.kill(controller)

    return Conducted
