"""The curve of score against ε, with the attack's figures beside it."""

import json
from pathlib import Path

import pytest

from framework.recipe import command
from recipes.private_federation import SMOKE, main

GIVEN = ["--data", SMOKE.data, "--target", SMOKE.target, "--silo", SMOKE.silo, "--seeds", "1", "--rounds", "2"]


def test_it_tells_each_method_its_epsilon_its_score_and_what_leaked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*GIVEN, "--epsilon", "2", "8", "--models", "4", "--batch", "1000", "--out", str(tmp_path)]
    assert command(main, asked) == 0
    told = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    methods = {each["method"]: each for each in report["methods"]}
    assert list(methods) == ["epsilon 2", "epsilon 8", "no privacy", "local only", "constant"]
    assert all(name in told for name in methods)
    for epsilon in (2.0, 8.0):
        private = methods[f"epsilon {epsilon:g}"]
        assert private["epsilon"] == epsilon
        assert 0.9 * epsilon < private["spent"] <= epsilon
    assert methods["no privacy"]["epsilon"] is methods["no privacy"]["spent"] is None
    for name, each in methods.items():
        assert len(each["scores"]) == 1
        attacked = name.startswith("epsilon") or name == "no privacy"
        assert [leak["attack"] for leak in each["attacks"]] == (["likelihood ratio", "loss"] if attacked else [])
        for leak in each["attacks"]:
            assert leak["auc_interval"][0] <= leak["auc"] <= leak["auc_interval"][1]
    assert "<svg" in (tmp_path / "private_federation.svg").read_text()[:2000]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--epsilon", "0"], "must be above 0"),
        (["--seeds", "0"], "at least one seed"),
        (["--models", "2"], "2 models are too few"),
        (["--silo", "region"], "silo column 'region' is not in the data"),
        (["--statistics", "0.1", "--epsilon", "0.5"], "rises above the noise"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    wrong: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, [*GIVEN, "--models", "0", "--batch", "1000", "--epsilon", "8", *wrong]) == 2
    assert sentence in capsys.readouterr().err
