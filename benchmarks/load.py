"""Minutes of load at a share of the maximum, while a version rolls out, a replica is killed, and then the proxy.

python -m benchmarks.load --minutes 10
python -m benchmarks.load --minutes 0.2 --connections 4

Tells of each stretch how many requests failed, and how; the longest time without an answer; and the servers' memory at
its beginning and end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving import ROOT, bodies, load, make
from cluster.ports import free_ports

SHARE = 0.7  # of the maximum
FIND_SECONDS = 5.0  # that the maximum is measured for


def server_processes(word: str) -> list[psutil.Process]:
    """The processes below this one with this in their command line."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def memory(word: str) -> float:
    """Megabytes that the processes of this name hold for themselves."""
    total = 0
    for process in server_processes(word):
        try:
            total += process.memory_full_info().uss
        except psutil.Error:
            continue
    return total / 2**20


def kill(word: str) -> Callable[[], None]:
    """Kills one of the processes of this name, as the system would for want of memory."""

    def killed() -> None:
        found = server_processes(word)
        if not found:
            raise SystemExit(f"there is no {word} to kill")
        found[0].kill()

    return killed


class Stretch:
    """A load that goes on while something happens."""

    def __init__(self, name: str, happens: Callable[[], Any] | None) -> None:
        self.name, self._happens = name, happens
        self.told: dict[str, Any] = {}

    def run(self, url: str, body: Path, *, connections: int, seconds: float, rate: float) -> None:
        """Loads the server; what happens does so after a third of the time."""
        before = memory(REPLICA)
        trouble: list[BaseException] = []

        def happen() -> None:
            try:
                if self._happens is not None:
                    self._happens()
            except BaseException as error:
                trouble.append(error)

        later = threading.Timer(seconds / 3, happen)
        later.start()
        self.told = load(url, body, connections=connections, seconds=seconds, rate=rate)
        later.join()
        if trouble:
            raise trouble[0]
        self.told |= {"memory_before": before, "memory_after": memory(REPLICA)}

    def row(self) -> str:
        failed = ", ".join(f"{count} × {status}" for status, count in self.told["failed"].items()) or "0"
        told = self.told
        p50, p99 = (told.get(name, float("nan")) for name in ("p50", "p99"))
        return (
            f"| {self.name} | {told['requests']:,} | {told['per_second']:,.0f} | {failed} | {told['silence']:.2f} "
            f"| {p50:.1f} | {p99:.1f} | {told['memory_before']:,.0f} → {told['memory_after']:,.0f} |"
        )


REPLICA, PROXY = "ray::ServeReplica:framework", "haproxy -db -f"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of load, over all four stretches")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--share", type=float, default=SHARE, help="of the maximum, which is measured first")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        os.chdir(home)
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db", "XDG_STATE_HOME": scratch}
        os.environ["PYTHONPATH"] = str(ROOT)  # of Ray's workers
        folder, _, row = make("xgboost", home)
        body = bodies(home, row, 1)["plain"]
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "recipes.serve", "--name", "model", "--port", str(port)]
        command += ["--model", str(folder), "--replicas", str(given.replicas), "--out", str(home / "out")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                url = f"http://127.0.0.1:{port}/api/v1/predict/model"
                wait(home / "out" / "report.json", server)
                stretches = held(url, body, folder, given)
            finally:
                server.terminate()
                server.wait(120)
    print(
        "\n| meanwhile | requests | requests/s | failed | no answer for, s | p50 ms | p99 ms | replicas' memory, MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(stretch.row() for stretch in stretches))


def held(url: str, body: Path, folder: Path, given: argparse.Namespace) -> list[Stretch]:
    seconds = 60 * given.minutes / 4
    most = load(url, body, connections=given.connections, seconds=min(FIND_SECONDS, seconds))["per_second"]
    rate = given.share * most
    print(f"at most {most:,.0f} requests/s on {given.connections} connections; {rate:,.0f} asked for", flush=True)

    def roll_out() -> None:
        """Another version under the same name, from another process."""
        another = shutil.copytree(folder, folder.with_name("another"))
        command = [sys.executable, "-m", "recipes.serve", "--model", str(another), "--name", "model"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    stretches = [
        Stretch("nothing", None),
        Stretch("a version rolls out", roll_out),
        Stretch("a replica is killed", kill(REPLICA)),
        Stretch("the proxy is killed", kill(PROXY)),
    ]
    for stretch in stretches:
        stretch.run(url, body, connections=given.connections, seconds=seconds, rate=rate)
        print(json.dumps({"meanwhile": stretch.name, **stretch.told}), flush=True)
        time.sleep(min(10.0, seconds))  # until what was killed is there again
    return stretches


def wait(report: Path, server: "subprocess.Popen[bytes]") -> None:
    """Until the server answers, which its report says."""
    deadline = time.monotonic() + 300
    while not report.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the server did not start")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
