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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from cluster.network import Network, separate_network

START_SECONDS = 90.0
STOP_SECONDS = 20.0  # that a node's processes have to leave by themselves
STORE_BYTES = 200 * 2**20  # a node's object store; Ray's own default is 30 % of the machine, for each node
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
        tree = self.processes()
        for process in tree:  # first still: a raylet that lives starts new workers for those that died
            with contextlib.suppress(psutil.Error):
                process.suspend()
        _kill(self.processes() + tree)
        self.process.wait()

    def stop(self) -> None:
        """Ends it as an operator does, and waits until the last of its processes has gone."""
        tree = self.processes()
        self.process.terminate()
        _, left = psutil.wait_procs(tree, timeout=STOP_SECONDS)
        _kill(left)
        self.process.wait()

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
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
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

    def add(self, *, cpus: float = 1, resources: Mapping[str, float] | None = None) -> Node:
        """One more node, joined and ready. resources: custom ones, such as {"silo_a": 1}.

        Raises NodesError when it does not join.
        """
        command = [_ray(), "start", f"--address={self.address}", f"--num-cpus={cpus:g}", "--block"]
        command += [f"--object-store-memory={self.store_bytes}", "--disable-usage-stats"]
        command += [f"--resources={json.dumps(dict(resources))}"] if resources else []
        before = self._ready()
        node = self._launch(command, own_address=True)
        try:
            _wait(lambda: self._ready() > before, node, "a node")
        except NodesError:
            self.nodes.remove(node)
            node.stop()
            raise
        return node

    def close(self) -> None:
        """Ends every node and removes what they wrote."""
        for node in reversed(self.nodes):
            node.stop()
        if self.network is not None:
            self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # the last log line of a dying process may come late

    def _start_head(self, cpus: float) -> None:
        gcs, dashboard, agent, metrics, client = _free_ports(5)
        self.address, self.dashboard = f"{self.ip}:{gcs}", f"http://127.0.0.1:{dashboard}"
        self.environment["RAY_ADDRESS"] = self.address
        command = [_ray(), "start", "--head", f"--port={gcs}", f"--num-cpus={cpus:g}", "--block"]
        command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
        command += [f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}"]
        command += [f"--ray-client-server-port={client}", f"--object-store-memory={self.store_bytes}"]
        node = self._launch([*command, "--disable-usage-stats"], own_address=False)
        _wait(lambda: _answers(dashboard) and self._ready() == 1, node, "the head node")

    def _launch(self, command: list[str], *, own_address: bool) -> Node:
        number = len(list(self.folder.glob("node-*.log")))
        log = self.folder / f"node-{number}.log"
        place = self.network.join() if self.network and own_address else None
        ip = place.ip if place else self.ip
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        # A disk of its own: on a shared one a node deletes the packages that another one's job still stands in.
        command = [*(place.command if place else []), *command, f"--node-ip-address={ip}"]
        command += [f"--temp-dir={self.folder}/{number}"]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        self.nodes.append(Node(process, ip, log))
        return self.nodes[-1]

    def _ready(self) -> int:
        """How many nodes the cluster counts as alive."""
        code = "from cluster.nodes import alive; print(alive())"
        root = str(Path(__file__).parents[1])
        told = subprocess.run(
            [sys.executable, "-c", code],
            env={**self.environment, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        return int(told.stdout.split()[-1]) if told.returncode == 0 and told.stdout.split() else 0


def alive() -> int:
    """How many nodes of the cluster at RAY_ADDRESS are alive, as its control store has it."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    infos = GcsClient(address=os.environ["RAY_ADDRESS"]).get_all_node_info(timeout=5.0)
    return sum(info.state == 0 for info in infos.values())


def _ray() -> str:
    return str(Path(sys.executable).with_name("ray"))


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=STOP_SECONDS)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(ready: Callable[[], bool], node: Node, who: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while node.alive and time.monotonic() < deadline:
        if ready():
            return
        time.sleep(0.3)
    printed = node.log.read_text(errors="replace")[-2000:]
    why = f"is not there after {START_SECONDS:.0f} s" if node.alive else "ended"
    raise NodesError(f"{who} {why}; it printed:\n{printed}")
