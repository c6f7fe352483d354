"""What holds on Ray Train: a lost worker, a broken checkpoint, a full cluster, a deadline."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.placement_group import placement_group_table

from cluster.connect import Session
from cluster.resources import Resources, ResourcesError
from framework.contender import Context
from framework.training import on_ray
from framework.training.failure import TrainingError
from framework.training.shelf import SNAPSHOT, Shelf

pytestmark = pytest.mark.timeout(900)  # ten seconds a run on an idle machine

ONE = Resources(cpus=1, workers=1, apart=True)
TWO = Resources(cpus=1, workers=2, apart=True)


def counted(facts: dict[str, Any]) -> dict[str, Any]:
    """Counts to facts["steps"], with a checkpoint at each; does at a step what facts say."""
    begin = 0
    with on_ray.newest() as folder:
        if folder is not None:
            begin = int((folder / "count.txt").read_text())
    for step in range(begin, facts["steps"]):
        if step == facts.get("die") and begin == 0 and on_ray.rank() == on_ray.size() - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == facts.get("raise"):
            trace = Path(facts["trace"])
            trace.write_text(trace.read_text() + "x" if trace.exists() else "x")
            raise TrainingError("the loss is nan at step 2")
        if step == facts.get("hang"):
            if "trace" in facts:
                Path(facts["trace"]).touch()
            time.sleep(600)

        def write(folder: Path, done: int = step + 1) -> None:
            (folder / "count.txt").write_text(str(done))

        on_ray.report({"step": step, "loss": 1.0 / (1 + step)})
        on_ray.report({"step": step, "kept": 1.0}, write)
    return {"begin": begin, "size": on_ray.size()}


def alive(others: Collection[str] = ()) -> list[str]:
    """The actors that live, but for these; and not the one that Ray itself keeps for each cluster."""
    found = living().items()
    return [name for key, name in found if key not in others and name != "_AutoscalingCoordinatorActor"]


def living() -> dict[str, str]:
    """id → class of every actor of the session: other tests' may be about to leave."""
    from ray._private.state import actors

    return {key: actor["ActorClassName"] for key, actor in actors().items() if actor["State"] != "DEAD"}


def wait_until(holds: Callable[[], bool], seconds: float = 240.0) -> bool:
    until = time.time() + seconds
    while time.time() < until:
        if holds():
            return True
        time.sleep(0.2)
    return False


def test_a_killed_worker_costs_what_came_after_the_last_checkpoint(ray_session: Session, tmp_path: Path) -> None:
    others = living()
    heard: list[tuple[int, dict[str, float]]] = []
    context = Context(folder=tmp_path, sink=lambda step, metrics: heard.append((step, metrics)))
    told = on_ray.run(counted, {"steps": 6, "die": 4}, engine="torch", resources=TWO, context=context)
    assert told["size"] == 2
    assert told["begin"] in (4, 5)  # the step of the kill may have been kept by the other rank
    assert (5, {"loss": 1.0 / 6}) in heard
    assert (5, {"kept": 1.0}) in heard
    assert wait_until(lambda: not alive(others)), alive(others)
    assert wait_until(lambda: ray.available_resources().get("CPU") == 2.0)


def test_it_goes_on_by_its_checkpoints_past_a_broken_one(
    ray_session: Session, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = Context(folder=tmp_path / "scratch", checkpoints=str(tmp_path / "kept"))
    first = on_ray.run(counted, {"steps": 5}, engine="torch", resources=ONE, context=context)
    assert first["begin"] == 0
    shelf = Shelf(str(tmp_path / "kept" / on_ray.RUN))
    assert len(shelf.names()) == 3
    path = tmp_path / "kept" / on_ray.RUN
    (path / shelf.names()[-1] / "count.txt").write_text("999")
    (path / SNAPSHOT).write_text((path / SNAPSHOT).read_text()[:40])  # cut short: Ray Train alone would not start
    with caplog.at_level(logging.WARNING):
        again = on_ray.run(counted, {"steps": 8}, engine="torch", resources=TWO, context=context)
    assert again == {"begin": 4, "size": 2}
    assert "is passed over: its file count.txt is not what was written" in caplog.text
    assert [json.loads((path / n / "manifest.json").read_text())["files"].keys() for n in shelf.names()]
    with caplog.at_level(logging.WARNING):
        assert on_ray.run(counted, {"steps": 8}, engine="torch", resources=ONE, context=context)["begin"] == 8


def test_an_error_of_ours_ends_the_run_at_once_and_comes_home_as_itself(ray_session: Session, tmp_path: Path) -> None:
    facts = {"steps": 5, "raise": 2, "trace": str(tmp_path / "trace")}
    context = Context(folder=tmp_path, checkpoints=str(tmp_path / "kept"))
    with pytest.raises(TrainingError, match="the loss is nan at step 2"):
        on_ray.run(counted, facts, engine="torch", resources=ONE, context=context)
    assert (tmp_path / "trace").read_text() == "x"
    assert len(Shelf(str(tmp_path / "kept" / on_ray.RUN)).names()) == 2


def test_a_run_past_its_deadline_is_ended(ray_session: Session, tmp_path: Path) -> None:
    others = living()
    context = Context(folder=tmp_path, deadline=time.time() + 2)
    with pytest.raises(TrainingError, match="not done at their deadline"):
        on_ray.run(counted, {"steps": 1, "hang": 0}, engine="torch", resources=ONE, context=context)
    assert wait_until(lambda: not alive(others)), alive(others)


def group_of_workers() -> bool:
    return any(group["state"] == "CREATED" for group in placement_group_table().values())


@pytest.mark.parametrize("moment", ["its workers are placed", "it trains"])
def test_a_killed_fit_leaves_no_actor_and_no_cpu_taken(ray_session: Session, tmp_path: Path, moment: str) -> None:
    others = living()
    assert wait_until(lambda: not group_of_workers())

    def fit(folder: str) -> None:
        context = Context(folder=Path(folder))
        facts = {"steps": 1, "hang": 0, "trace": f"{folder}/begun"}
        on_ray.run(counted, facts, engine="torch", resources=ONE, context=context)

    running = ray.remote(num_cpus=0, max_retries=0)(fit).remote(str(tmp_path))
    if moment == "its workers are placed":
        while not group_of_workers():  # and is killed at once: before they have started
            ray.wait([running], timeout=0.01)
    else:
        assert wait_until((tmp_path / "begun").exists)
    ray.cancel(running, force=True)
    assert wait_until(lambda: not alive(others)), alive(others)
    assert wait_until(lambda: not group_of_workers())
    assert wait_until(lambda: ray.available_resources().get("CPU") == 2.0)


def test_what_the_cluster_cannot_hold_is_said_at_once(ray_session: Session, tmp_path: Path) -> None:
    def asked(resources: Resources, fewest: int | None = None) -> None:
        on_ray.run(counted, {"steps": 1}, engine="torch", resources=resources, context=Context(), fewest=fewest)

    with pytest.raises(ResourcesError, match="3 worker"):
        asked(Resources(cpus=1, workers=3, apart=True))
    with pytest.raises(ResourcesError, match="nodes hold 1 worker"):
        asked(Resources(cpus=1.0, memory_gigabytes=0.51 * ray.cluster_resources()["memory"] / 2**30, workers=2))
    with pytest.raises(TrainingError, match="fewest=3"):
        asked(TWO, fewest=3)

    def greedy() -> str:
        try:
            asked(TWO)
        except TrainingError as error:
            return str(error)
        return ""

    assert "holds 1 CPU" in ray.get(ray.remote(num_cpus=1)(greedy).remote(), timeout=240)


def test_storage_that_refuses_is_told_in_a_sentence(ray_session: Session, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    context = Context(folder=tmp_path, checkpoints=str(tmp_path / "taken"))
    with pytest.raises(TrainingError, match=r"checkpoints in .*taken cannot be written"):
        on_ray.run(counted, {"steps": 1}, engine="torch", resources=ONE, context=context)
