"""Local, federated and pooled models, compared on what each silo kept back."""

import json
from pathlib import Path

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
    assert {"local linear", "local net", "fedavg", "fedadam", "pooled net"} < set(methods)
    assert all(method in told for method in methods)
    assert {each["silo"] for each in report["silos"]} == {"Adelie", "Chinstrap", "Gentoo"}
    assert {each["seed"] for each in report["silos"]} == {4}
    assert len(report["silos"]) == 3 * len(methods)
    assert set(report["silos"][0]) == {"silo", "rows", "method", "seed", "r2", "rmse"}
    gaps = {each["method"]: each["gap"] for each in report["methods"]}
    assert gaps["local net"] in (0.0, None)
    assert methods[-4:] == ["local trees", "bagged trees", "trees", "pooled trees"]
    assert gaps["local trees"] in (0.0, None)
    assert gaps["pooled trees"] in (1.0, None)
    assert "<svg" in (tmp_path / "silos.svg").read_text()[:2000]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--target", "sex"], "silos are compared on quantities"),
        (["--silo", "region"], "silo column 'region' is not in the data"),
        (["--seeds", "0"], "at least 1 is needed"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    wrong: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, [*GIVEN, "--no-tff", *wrong]) == 2
    assert sentence in capsys.readouterr().err
