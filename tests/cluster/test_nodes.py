"""A cluster of real nodes on this machine: they join, they die, and nothing of them is left."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.nodes import Nodes, NodesError
from tests.shared_memory import shared_memory


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with Nodes(cpus=1) as nodes:
        yield nodes


def drive(cluster: Nodes, code: str) -> str:
    """Runs code in a driver of that cluster; what it printed."""
    head = "import ray; ray.init(log_to_driver=False, logging_level='ERROR')\n"
    told = subprocess.run(
        [sys.executable, "-c", head + code], env=cluster.environment, capture_output=True, text=True, timeout=240
    )
    assert told.returncode == 0, told.stderr[-2000:]
    return told.stdout.strip()


def count(cluster: Nodes) -> int:
    told = drive(cluster, "print(sum(node['Alive'] for node in ray.nodes()))")
    return int(told.split()[0])  # Ray may tell of a lost node after it


def test_work_is_done_on_every_node(cluster: Nodes) -> None:
    node = cluster.add(cpus=1, resources={"silo_a": 1})
    code = """
where = ray.remote(lambda: ray.util.get_node_ip_address())
there = ray.get(where.options(num_cpus=0, resources={"silo_a": 0.1}).remote(), timeout=240)
print(there, int(ray.cluster_resources()["CPU"]))
"""
    assert drive(cluster, code).split() == [node.ip, "2"]
    if cluster.network is not None:
        assert node.ip != cluster.ip


def test_a_killed_node_is_gone_at_once_and_the_cluster_goes_on(cluster: Nodes) -> None:
    node = cluster.add(cpus=1)
    processes = node.processes()
    assert len(processes) > 3
    before = count(cluster)
    node.kill()
    assert not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    deadline = time.monotonic() + 240
    while count(cluster) >= before:
        assert time.monotonic() < deadline, "the lost node is still counted"
    assert drive(cluster, "print(ray.get(ray.remote(lambda: 7).remote(), timeout=240))") == "7"


def test_nothing_is_left_of_a_closed_cluster() -> None:
    with Nodes(cpus=1) as nodes:
        processes = nodes.head.processes()
        shared = {path for process in processes for path in shared_memory(process)}
        folder = nodes.folder
        assert folder.exists()
    assert not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not [path for path in shared if Path(path).exists()]
    assert not folder.exists()


def test_a_node_that_cannot_start_says_what_it_printed(cluster: Nodes) -> None:
    nodes = len(cluster.nodes)
    with pytest.raises(NodesError, match=r"a node ended; it printed:\n(.|\n)*resources"):
        cluster.add(resources={"CPU": 1})
    assert len(cluster.nodes) == nodes
