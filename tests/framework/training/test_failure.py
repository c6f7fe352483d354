"""A failed run is told in a sentence: which rank, where, why, and what to do."""

import pytest
from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError, WorkerHealthCheckFailedError

from framework.training.failure import TrainingError, lasting, of_controller, of_workers

TOLD = "The actor died unexpectedly before finishing this task.\n\tclass_name: RayTrainWorker\n\tip: 10.0.0.7\n"
KILLED = (
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
    "unexpectedly exits with a connection error code 2. End of file. There are some potential root causes. (1) The "
    "process is killed by SIGKILL by OOM killer due to high memory usage. (2) ray stop --force is called."
)
MEMORY = "1 worker(s) were killed due to the node running low on memory."
NODE = "The actor died because its node has died. Node Id: 5e43"


def lost(cause: str) -> Exception:
    """A worker that is gone, as Ray Train hands it on."""
    return WorkerHealthCheckFailedError("Worker health check failed", RayActorError("ab", TOLD + cause))


@pytest.mark.parametrize(
    ("cause", "words"), [(KILLED, "killed from outside"), (MEMORY, "ran out of memory"), (NODE, "lost with its node")]
)
def test_a_lost_worker_is_told_with_its_rank_node_and_cause(cause: str, words: str) -> None:
    gloo = RuntimeError("Connection closed by peer [10.0.0.7]:2021")
    told = of_workers({0: gloo, 2: lost(cause)})
    assert isinstance(told, TrainingError)
    assert str(told).startswith("rank 2 on node 10.0.0.7 ")
    assert words in str(told)


def test_an_error_of_ours_comes_home_as_itself() -> None:
    ours = TrainingError("the loss is not finite at step 3")
    assert of_workers({0: RuntimeError("Connection reset by peer"), 1: ours}) is ours


def test_a_mistake_in_the_code_is_not_tried_again_and_a_lost_neighbour_is() -> None:
    assert lasting({0: RuntimeError("Connection reset"), 1: KeyError("weight")})
    assert lasting({1: TrainingError("the loss is not finite")})
    assert not lasting({0: RuntimeError("Connection reset"), 1: lost(KILLED)})
    assert not lasting({0: OSError(5, "Input/output error")})
    told = of_workers({0: RuntimeError("Connection reset"), 1: KeyError("weight")})
    assert str(told) == "rank 1 failed: KeyError: 'weight'"


def test_a_storage_that_refuses_and_a_full_cluster_are_told() -> None:
    told = str(of_controller(OSError(30, "Read-only file system"), folder="s3://runs/7"))
    assert "checkpoints in s3://runs/7 cannot be written" in told
    assert "Read-only file system" in told
    assert "never had room" in str(of_controller(WorkerGroupStartupTimeoutError(3), folder="here"))
    assert "could not write its checkpoint" in str(of_workers({0: OSError(30, "Read-only file system")}))
