"""A node is lost in the middle of a federation, on a cluster of several: the board stands, and says what happened."""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from cluster.nodes import Node, Nodes
from federated import FederatedAverage
from federated.border import AUDIT, folder_name
from federated.strategies import FedAvg
from framework import Context, load
from tests.federated.portfolios import QUICK, rents

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
SILOS = tuple(f"owner {place}" for place in range(4))
ROUNDS = 60
CONTEST = """
import json, sys
from cluster.connect import connect
from federated import FederatedAverage
from federated.strategies import FedAvg
from framework import compete, load
from tests.federated.portfolios import QUICK, rents

given = json.loads(sys.argv[1])
connect()
split = load(rents(silos=4).drop(columns="dear"), target="rent", silo="owner")
board = compete([FederatedAverage(**{**QUICK, "strategy": FedAvg(), **given})], split, minutes=5.0, refit=False)
print(board)
((score, told),) = [(entry.score, entry.reason) for entry in board.entries]
assert told in str(board)
print("entry", json.dumps([score, told]))
"""


@dataclass
class Contest:
    """A contest under way in a process of its own, and what it prints."""

    process: "subprocess.Popen[bytes]"
    log: Path
    audit: Path

    @property
    def printed(self) -> str:
        return self.log.read_text()

    @property
    def files(self) -> list[Path]:
        """What each silo wrote of all that left it."""
        return [self.audit / folder_name(silo) / AUDIT for silo in SILOS]

    def until_round(self, number: int) -> None:
        """Until every silo has sent its update of that round."""
        deadline = time.monotonic() + 400
        while not all(file.exists() and _last_round(file) >= number for file in self.files):
            assert self.process.poll() is None, self.printed[-3000:]
            assert time.monotonic() < deadline, self.printed[-3000:]
            time.sleep(0.05)

    def entry(self) -> tuple[float, str]:
        """The score on the board, and what it says of the federation."""
        assert self.process.wait(400) == 0, self.printed[-3000:]
        (told,) = re.findall("^entry (.*)$", self.printed, re.M)
        score, remark = json.loads(told)
        return float(score), str(remark)


def _last_round(file: Path) -> int:
    return max((line["round"] for line in map(json.loads, file.read_text().splitlines()[:-1])), default=0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with Nodes(cpus=1) as nodes:
        for _ in range(2):
            nodes.add(cpus=1)
        yield nodes


def begun(cluster: Nodes, folder: Path, **given: object) -> Contest:
    settings = {"rounds": ROUNDS, "hosts": 2, "audit": str(folder / "audit"), **given}
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", CONTEST, json.dumps(settings)],
            cwd=ROOT,
            env={**cluster.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
            stdout=stream,
            stderr=stream,
        )
    return Contest(process, log, folder / "audit")


def lose_a_host(cluster: Nodes, contest: Contest) -> Node:
    """Kills a node on which a host of silos stands, not the head, in the middle of the federation."""
    contest.until_round(3)
    holding = [node for node in cluster.nodes if any("SiloHost" in title for title in _titles(node))]
    assert len(holding) == 2
    gone = next(node for node in holding if node is not cluster.nodes[0])
    gone.kill()
    cluster.nodes.remove(gone)
    assert min(_last_round(file) for file in contest.files) < ROUNDS
    return gone


def _titles(node: Node) -> Iterator[str]:
    for process in node.processes():
        with contextlib.suppress(psutil.Error):
            yield " ".join(process.cmdline())


@pytest.fixture(scope="module")
def undisturbed() -> float:
    """The score of the same federation in this process, to which nothing happens."""
    fold = load(rents(silos=4).drop(columns="dear"), target="rent", silo="owner").fold
    contender = FederatedAverage(**{**QUICK, "strategy": FedAvg(), "rounds": ROUNDS})  # type: ignore[arg-type]
    told = contender.fit(fold, Context()).predict(fold.valid.X)
    return float(np.sqrt(np.mean((told - fold.valid.y) ** 2)))


def test_hosts_of_a_lost_node_are_started_on_another_and_their_silos_join_again(
    cluster: Nodes, undisturbed: float, tmp_path: Path
) -> None:
    contest = begun(cluster, tmp_path, quorum=1.0)
    gone = lose_a_host(cluster, contest)
    score, told = contest.entry()
    assert score == pytest.approx(undisturbed, rel=1e-5)  # no round was made without them, and none twice
    (where,) = re.findall(rf"node {gone.ip} was lost with the host of (.*?), which went on at (\S+?)(?:;|$)", told)
    assert where[1] in {node.ip for node in cluster.nodes}
    silos = re.findall("'(owner .)'", where[0])
    assert len(silos) == 2
    for silo in silos:
        assert re.search(rf"round \d+: silo '{silo}' lost", told)
        assert re.search(rf"round \d+: silo '{silo}' returned", told)


def test_where_no_node_has_room_for_them_the_others_go_on_if_they_are_a_quorum(cluster: Nodes, tmp_path: Path) -> None:
    contest = begun(cluster, tmp_path, quorum=0.5, round_seconds=30.0)
    gone = lose_a_host(cluster, contest)
    score, told = contest.entry()
    assert np.isfinite(score)
    (names,) = re.findall(rf"node {gone.ip} was lost with the host of (.*?), which found no other node with room", told)
    silos = re.findall("'(owner .)'", names)
    assert len(silos) == 2
    for silo in silos:
        assert re.search(rf"round \d+: silo '{silo}' late: no answer in 30 s", told)
    left = set(SILOS) - set(silos)
    assert all(_last_round(contest.audit / folder_name(silo) / AUDIT) >= ROUNDS for silo in left)
