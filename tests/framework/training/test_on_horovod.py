"""Horovod's ranks for real, on a local Ray. They need the wheel of `make horovod`, and fail without it."""

import ast
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from cluster.connect import Session
from cluster.resources import Resources, ResourcesError
from cluster.user_error import UserError
from framework.contender import Context
from framework.training import on_horovod
from framework.training.checkpoint import STATE
from framework.training.on_horovod import HorovodLostError, HorovodMissingError, HorovodStartError, run
from framework.training.on_ray import RUN
from framework.training.shelf import Shelf

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import a test
TWO = Resources(cpus=1, workers=2)
pytestmark = pytest.mark.usefixtures("ray_session")


def logistic(crew: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """Logistic regression by whole shards: the same steps however many ranks share the rows.

    facts: home, a folder; steps; nap: seconds after each step; every: steps between checkpoints; wide: go on until
    there are this many ranks.
    """
    import torch

    torch.set_num_threads(1)
    told = Path(facts["home"], f"{crew.rank}-{os.getpid()}-{time.time_ns()}")
    told.touch()
    X, y = (torch.tensor(part, dtype=torch.float32) for part in facts["rows"])
    torch.manual_seed(crew.rank)  # join makes the ranks alike
    net = torch.nn.Sequential(torch.nn.Linear(X.shape[1], 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer: Any = torch.optim.AdamW(net.parameters(), lr=0.02)
    state = crew.resume()
    step = begun = 0
    if state is not None:
        net.load_state_dict(state["net"])
        step = begun = state["step"]
    called, optimizer = crew.join(net, optimizer)
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
    mine, answers = X[crew.rank :: crew.size], y[crew.rank :: crew.size]
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    until = time.time() + 240
    while step < facts["steps"] or (crew.size < facts.get("wide", 0) and time.time() < until):
        optimizer.zero_grad(set_to_none=True)
        half = len(mine) // 2
        with crew.alone(called):
            (loss(called(mine[:half])[:, 0], answers[:half]) * half / len(mine)).backward()
        (loss(called(mine[half:])[:, 0], answers[half:]) * (len(mine) - half) / len(mine)).backward()
        crew.average(optimizer)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        optimizer.step()
        step += 1
        if step == facts.get("wrong_at") and crew.rank == crew.size - 1:
            raise UserError(f"rank {crew.rank} met a batch that it does not like")
        if step % facts.get("every", 10) == 0:
            now = step
            keep = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": now}
            crew.report(step, {"size": float(crew.size)}, lambda keep=keep: keep)
            time.sleep(facts.get("nap", 0.0))
    error = loss(net(mine)[:, 0], answers, reduction="sum").detach().reshape(1)
    mean = float(crew.total(error)) / len(y)
    pairs = [(c.laddr, c.raddr) for c in psutil.Process().net_connections("tcp4") if c.raddr]
    told.write_text(repr([(*here, *there) for here, there in pairs]))
    weights = torch.cat([p.detach().flatten() for p in net.parameters()]).numpy()
    return {"loss": mean, "weights": weights, "begun": begun, "rank": crew.rank}


class Reference:
    """torch's own DDP, by hand: what Horovod is held against."""

    def __init__(self, rank: int, place: str) -> None:
        import torch.distributed as dist

        dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
        self.rank, self.size = rank, 2

    def join(self, net: Any, optimizer: Any) -> tuple[Any, Any]:
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(net), optimizer

    def average(self, optimizer: Any) -> None: ...

    def alone(self, net: Any) -> Any:
        return net.no_sync()

    def total(self, values: Any) -> Any:
        import torch.distributed as dist

        dist.all_reduce(values)
        return values

    def report(self, step: int, metrics: dict[str, float], state: Any) -> None: ...

    def resume(self) -> None: ...


class One(Reference):
    def __init__(self) -> None:
        self.rank, self.size = 0, 1

    def join(self, net: Any, optimizer: Any) -> tuple[Any, Any]:
        return net, optimizer

    def alone(self, net: Any) -> Any:
        return nullcontext()

    def total(self, values: Any) -> Any:
        return values


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    X, y = load_breast_cancer(return_X_y=True)
    home = tmp_path / "ranks"
    home.mkdir()
    return {"rows": (scale(X[:568]), y[:568]), "steps": 60, "home": str(home)}


def until(true: Callable[[], bool], seconds: float = 240.0) -> bool:
    end = time.time() + seconds
    while not true() and time.time() < end:
        time.sleep(0.1)
    return true()


def ranks(facts: dict[str, Any]) -> list[tuple[int, int]]:
    """(rank, process) of every pass of a loop, in the order they began."""
    told = sorted(Path(facts["home"]).iterdir(), key=lambda path: int(path.name.split("-")[2]))
    return [(int(path.name.split("-")[0]), int(path.name.split("-")[1])) for path in told]


def gone(facts: dict[str, Any]) -> bool:
    """Whether no rank runs and Ray's CPUs are free again."""

    def free() -> bool:
        alive = [pid for _, pid in ranks(facts) if psutil.pid_exists(pid)]
        return not alive and ray.available_resources().get("CPU", 0.0) == 2.0

    return until(free)


def test_two_ranks_end_where_ddp_ends_to_1e5(facts: dict[str, Any], tmp_path: Path) -> None:
    other = dict(facts, home=str(tmp_path))
    told = run(logistic, facts, resources=TWO, context=Context())
    assert gone(facts)
    connections = [set(ast.literal_eval(path.read_text())) for path in Path(facts["home"]).iterdir()]
    between = {(a, b) for a, p, b, q in connections[0] if (b, q, a, p) in connections[1]}
    address = ray.nodes()[0]["NodeManagerAddress"]
    assert between == {(address, address)}  # the node's own interface: on several nodes loopback would lead nowhere
    train = ray.remote(lambda rank: logistic(Reference(rank, str(tmp_path / "meet")), other))
    ddp, _ = ray.get([train.remote(rank) for rank in range(2)], timeout=240)
    assert told["rank"] == 0
    assert np.abs(told["weights"] - ddp["weights"]).max() < 1e-5
    assert told["loss"] == pytest.approx(ddp["loss"], abs=1e-5)
    # Were the gradients not averaged, one rank's own rows would lead elsewhere.
    X, y = facts["rows"]
    lone = logistic(One(), dict(other, rows=(X[::2], y[::2])))
    assert np.abs(told["weights"] - lone["weights"]).max() > 1e-3


def test_elastic_training_goes_on_when_its_first_rank_is_killed(facts: dict[str, Any]) -> None:
    sizes: list[tuple[int, float]] = []
    killed = threading.Event()

    def hear(step: int, metrics: dict[str, float]) -> None:
        sizes.append((step, metrics["size"]))
        if step >= 20 and not killed.is_set():
            os.kill(next(pid for rank, pid in ranks(facts) if rank == 0), signal.SIGKILL)
            killed.set()

    facts |= {"steps": 200, "every": 5, "nap": 0.1, "wide": 2}
    told = run(logistic, facts, resources=TWO, context=Context(sink=hear), fewest=1)
    assert killed.is_set()
    assert gone(facts)
    passes = [size for _, size in sizes]
    assert 1.0 in passes  # it went on alone
    assert passes[-1] == 2.0  # and took the new rank in
    assert told["begun"] >= 20
    steps = [step for step, _ in sizes]
    assert steps == sorted(steps)
    assert len(steps) - len(set(steps)) <= 1  # nothing before the last checkpoint was done again
    assert told["loss"] == pytest.approx(alone(facts, steps[-1])["loss"], abs=2e-3)


def alone(facts: dict[str, Any], steps: int) -> dict[str, Any]:
    return logistic(One(), dict(facts, steps=steps, nap=0.0, wide=0))


def test_it_goes_on_from_the_newest_whole_checkpoint(facts: dict[str, Any], tmp_path: Path) -> None:
    context = Context(checkpoints=str(tmp_path / "kept"))
    run(logistic, facts | {"steps": 30}, resources=Resources(workers=1), context=context)
    shelf = Shelf(f"{tmp_path}/kept/{RUN}")
    assert len(shelf.names()) == 3
    newest = tmp_path / "kept" / RUN / shelf.names()[-1] / STATE
    newest.write_bytes(newest.read_bytes()[:-100])
    told = run(logistic, facts, resources=TWO, context=context)
    assert told["begun"] == 20
    assert told["loss"] == pytest.approx(alone(facts, 60)["loss"], abs=1e-3)


@pytest.mark.parametrize("fewest", [None, 1])
def test_what_the_loop_raises_comes_home_as_it_is(facts: dict[str, Any], fewest: int | None) -> None:
    with pytest.raises(UserError, match="rank 1 met a batch") as caught:
        run(logistic, facts | {"wrong_at": 15}, resources=TWO, context=Context(), fewest=fewest)
    assert "in logistic" in caught.value.__notes__[0]
    assert gone(facts)


def test_a_killed_rank_ends_a_run_that_is_not_elastic(facts: dict[str, Any], tmp_path: Path) -> None:
    def hear(step: int, metrics: dict[str, float]) -> None:
        if step == 20:
            os.kill(next(pid for rank, pid in ranks(facts) if rank == 1), signal.SIGKILL)

    kept = str(tmp_path / "kept")
    context = Context(sink=hear, checkpoints=kept)
    with pytest.raises(HorovodLostError, match=f"1 of 2 Horovod ranks died.*{kept}"):
        run(logistic, facts | {"steps": 10_000, "nap": 0.1}, resources=TWO, context=context)
    assert gone(facts)
    assert Shelf(f"{kept}/{RUN}").newest()[0] is not None


def test_a_killed_fit_leaves_no_rank_behind(facts: dict[str, Any]) -> None:
    class Fit:
        def fit(self) -> None:
            run(logistic, facts | {"steps": 10**9, "every": 10**9}, resources=TWO, context=Context())

    fit = ray.remote(Fit).options(num_cpus=0).remote()
    running = fit.fit.remote()
    assert until(lambda: len(ranks(facts)) == 2)
    ray.kill(fit)
    assert gone(facts)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(running)


def test_a_cluster_that_is_too_small_or_busy_is_told(facts: dict[str, Any], ray_session: Session) -> None:
    with pytest.raises(ResourcesError, match="Horovod asks for 9 worker"):
        run(logistic, facts, resources=Resources(workers=9), context=Context())

    class Busy:
        def ready(self) -> None: ...

    busy = ray.remote(Busy).options(num_cpus=1).remote()
    ray.get(busy.ready.remote())
    try:
        with pytest.raises(HorovodStartError, match=r"[01] of 2 Horovod ranks"):  # a busy machine starts none in time
            run(logistic, facts, resources=TWO, context=Context(), start_seconds=10.0)
    finally:
        ray.kill(busy)  # else the tests after this one wait for its CPU
    assert gone(facts)


def test_without_the_wheel_it_says_how_to_get_it(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_horovod, "find_spec", lambda name: None)
    with pytest.raises(HorovodMissingError, match="make horovod"):
        run(logistic, facts, resources=TWO, context=Context())
