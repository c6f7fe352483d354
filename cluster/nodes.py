"""A real Ray cluster of several nodes on one machine, with the means to kill one: for tests and demonstrations."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from cluster.network import Network, separate_network
from cluster.ports import free_ports

START_SECONDS = 90.0
STOP_SECONDS = 20.0  # for killed processes to be gone
POLL_SECONDS = 0.05
STARTED = "Ray runtime started."  # what `ray start` prints once the control store has the node
STORE_BYTES = 200 * 2**20  # a node's object store; Ray's own default is 30 % of the machine, for each node
NICENESS = "RAY_worker_niceness"  # how much workers leave to others is the whole machine's matter
CHECKS = {  # how fast a lost node is noticed
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


class NodesError(RuntimeError):
    """A node did not start; the message ends in what it printed."""


@dataclass(eq=False)
class Node:
    """One node: its `ray start --block` and everything under it.

    ip: its address, one of its own where networks are separate.
    """

    process: "subprocess.Popen[bytes]"
    ip: str
    log: Path = field(repr=False)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL for every process of it at once, as when its power fails."""
        _kill([self])

    def processes(self) -> list[psutil.Process]:
        """Its processes, those of its workers included."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class Nodes:
    """A cluster on this machine whose nodes are real: raylets of their own, and network addresses of their own where
    the machine allows that (root and network namespaces). A context manager: all of it is gone at the end.

    Authentication by token is on, as it is on a cluster that others reach; `environment` is what a client needs.
    """

    def __init__(
        self, *, cpus: float = 1, store_bytes: int = STORE_BYTES, variables: Mapping[str, str] | None = None
    ) -> None:
        """cpus: of the head node. variables: further environment variables for every node."""
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: socket paths may have 107 bytes
        self.store_bytes = store_bytes
        self.nodes: list[Node] = []
        self.network: Network | None = None
        token = self.folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_") or name == NICENESS},
            **CHECKS,
            **(variables or {}),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # a job's python is the one on the PATH
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
        }
        try:
            self.network = separate_network(self.folder.name)
            self.ip = self.network.host if self.network else "127.0.0.1"
            self._start_head(cpus)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def head(self) -> Node:
        return self.nodes[0]

    def add(
        self,
        *,
        cpus: float = 1,
        resources: Mapping[str, float] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Node:
        """One more node, joined and ready. resources: custom ones, such as {"silo_a": 1}. variables: of its own.

        Raises NodesError when it does not join.
        """
        command = [_ray(), "start", f"--address={self.address}", f"--num-cpus={cpus:g}", "--block"]
        command += [f"--object-store-memory={self.store_bytes}", "--disable-usage-stats"]
        command += [f"--resources={json.dumps(dict(resources))}"] if resources else []
        node = self._launch(command, own_address=True, variables=variables)
        try:
            _wait(node, "a node")
        except NodesError:
            self.nodes.remove(node)
            node.kill()
            raise
        return node

    def close(self) -> None:
        """Ends every node, at once and without a word to them, and removes what they wrote."""
        _kill(self.nodes)
        if self.network is not None:
            self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # the last log line of a dying process may come late

    def _start_head(self, cpus: float) -> None:
        gcs, dashboard, agent, metrics, client = free_ports(5)
        self.address, self.dashboard = f"{self.ip}:{gcs}", f"http://127.0.0.1:{dashboard}"
        self.environment["RAY_ADDRESS"] = self.address
        command = [_ray(), "start", "--head", f"--port={gcs}", f"--num-cpus={cpus:g}", "--block"]
        command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
        command += [f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}"]
        command += [f"--ray-client-server-port={client}", f"--object-store-memory={self.store_bytes}"]
        node = self._launch([*command, "--disable-usage-stats"], own_address=False)
        _wait(node, "the head node", and_then=lambda: _answers(dashboard))

    def _launch(self, command: list[str], *, own_address: bool, variables: Mapping[str, str] | None = None) -> Node:
        number = len(list(self.folder.glob("node-*.log")))
        log = self.folder / f"node-{number}.log"
        place = self.network.join() if self.network and own_address else None
        ip = place.ip if place else self.ip
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        environment |= variables or {}
        # A disk of its own: on a shared one a node deletes the packages that another one's job still stands in.
        command = [*(place.command if place else []), *command, f"--node-ip-address={ip}"]
        command += [f"--temp-dir={self.folder}/{number}"]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        self.nodes.append(Node(process, ip, log))
        return self.nodes[-1]


def _ray() -> str:
    return str(Path(sys.executable).with_name("ray"))


def _kill(nodes: Sequence[Node]) -> None:
    """Every process of these nodes, and waits until they have gone."""
    trees = [process for node in nodes for process in node.processes()]
    for process in trees:  # first still: a raylet that lives starts new workers for those that died
        with contextlib.suppress(psutil.Error):
            process.suspend()
    left = list(dict.fromkeys([*(process for node in nodes for process in node.processes()), *trees]))
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    for node in nodes:
        node.process.wait()
    until = time.monotonic() + STOP_SECONDS
    while any(_lives(process) for process in left) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that only its new parent has not looked after yet does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(node: Node, who: str, *, and_then: Callable[[], bool] = lambda: True) -> None:
    """Until the node says that the cluster has it. Raises NodesError with what it printed when it ends or is late."""
    deadline = time.monotonic() + START_SECONDS
    while node.alive and time.monotonic() < deadline:
        if STARTED in node.log.read_text(errors="replace") and and_then():
            return
        time.sleep(POLL_SECONDS)
    printed = node.log.read_text(errors="replace")[-2000:]
    why = f"is not there after {START_SECONDS:.0f} s" if node.alive else "ended"
    raise NodesError(f"{who} {why}; it printed:\n{printed}")
