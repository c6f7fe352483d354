"""Local, federated and pooled models, compared on what each silo kept back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.recipe import command
from recipes.silos_versus_pooled import SMOKE, main

GIVEN = ["--data", SMOKE.data, "--target", SMOKE.target, "--silo", SMOKE.silo, "--seeds", "1", "--hosts", "0"]
GIVEN += ["--trees", "4"]


def test_it_tells_each_silo_method_and_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(main, [*GIVEN, "--rounds", "3", "--no-tff", "--seed", "4", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    methods = [each["method"] for each in report["methods"]]
    nets = {"local net", "fedavg", "fedadam, fine-tuned", "pooled net"}
    assert {"local linear", "federated linear", "pooled linear", *nets} < set(methods)
    assert all(method in told for method in methods)
    assert {each["silo"] for each in report["silos"]} == {"Adelie", "Chinstrap", "Gentoo"}
    assert {each["seed"] for each in report["silos"]} == {4}
    assert len(report["silos"]) == 3 * len(methods)
    assert set(report["silos"][0]) == {"silo", "rows", "method", "seed", "r2", "rmse"}
    gaps = {each["method"]: each["gap"] for each in report["methods"]}
    assert all(gaps[f"local {kind}"] in (0.0, None) for kind in ("net", "linear"))
    assert gaps["pooled linear"] in (1.0, None)
    assert methods[-4:] == ["local trees", "bagged trees", "federated trees", "pooled trees"]
    assert gaps["local trees"] in (0.0, None)
    assert gaps["pooled trees"] in (1.0, None)
    assert "<svg" in (tmp_path / "silos.svg").read_text()[:2000]


def test_classes_are_compared_by_their_probabilities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--data", SMOKE.data, "--target", "sex", "--silo", "species", "--seeds", "1", "--hosts", "0", "--no-tff"]
    assert command(main, [*asked, "--rounds", "2", "--trees", "0", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "ROC AUC (higher is better)" in told
    assert "R² and RMSE of probabilities" in told
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metric"] == "roc_auc"
    assert set(report["silos"][0]) == {"silo", "rows", "method", "seed", "r2", "rmse"}
    assert all(0 <= each["rmse"] <= 1 for each in report["silos"])
    assert all(0 <= each["score"] <= 1 for each in report["methods"])


def test_forecasts_are_compared_where_each_silo_is_a_series(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    months = pd.date_range("2015-01-01", periods=60, freq="MS")
    season = np.sin(2 * np.pi * np.arange(60) / 12)
    frames = [
        pd.DataFrame({"city": f"city {n}", "month": months, "rent": 9.0 * n + 3 * season + rng.normal(0, 0.3, 60)})
        for n in range(1, 4)
    ]
    pd.concat(frames).to_csv(tmp_path / "rents.csv", index=False)
    asked = ["--data", str(tmp_path / "rents.csv"), "--target", "rent", "--silo", "city", "--kind", "forecast"]
    asked += ["--time", "month", "--horizon", "6", "--seeds", "1", "--hosts", "0", "--no-tff", "--rounds", "2"]
    assert command(main, [*asked, "--pairs", "600", "--trees", "4", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metric"] == "mase"
    assert {each["silo"] for each in report["silos"]} == {"city 1", "city 2", "city 3"}
    assert {each["rows"] for each in report["silos"]} == {6}
    assert all(each["mase"] > 0 for each in report["silos"])
    told = {each["method"]: each["score"] for each in report["methods"]}
    assert told["federated linear"] == pytest.approx(told["pooled linear"], rel=0.3)
    assert set(told) > {"local net", "fedadam", "federated trees", "pooled trees"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--kind", "clustering"], "silos are compared on answers"),
        (["--silo", "region"], "silo column 'region' is not in the data"),
        (["--seeds", "0"], "at least 1 is needed"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    wrong: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, [*GIVEN, "--no-tff", *wrong]) == 2
    assert sentence in capsys.readouterr().err
