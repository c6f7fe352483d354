"""Shared made-up rows beside local, federated and pooled models, on real rows that each silo kept back."""

import json
from pathlib import Path

import pytest

from federated.audit import verify
from federated.border import AUDIT
from framework.recipe import command
from recipes.share_a_silo import SMOKE, main

GIVEN = ["--data", SMOKE.data, "--target", SMOKE.target, "--silo", SMOKE.silo, "--seeds", "1", "--hosts", "0"]


def test_it_tells_each_silo_method_and_seed_and_what_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, audit = tmp_path / "out", tmp_path / "audit"
    # Of few rows some seeds leak, and their silo keeps them.
    asked = [*GIVEN, "--rounds", "3", "--seed", "1", "--out", str(out), "--audit", str(audit)]
    assert command(main, asked) == 0
    told = capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    methods = {each["method"] for each in report["methods"]}
    assert methods == {"local linear", "local trees", "shared rows, linear", "shared rows, trees", "federated net",
                       "pooled linear", "pooled trees"}  # fmt: skip
    assert all(method in told for method in methods)
    assert "1 seed(s): no spread is known" in told
    assert "±" not in told
    assert {each["r2_spread"] for each in report["methods"]} == {None}
    assert {each["silo"] for each in report["silos"]} == {"Adelie", "Chinstrap", "Gentoo"}
    assert "<svg" in (out / "silos.svg").read_text()[:2000]
    for silo in ("Adelie", "Chinstrap", "Gentoo"):
        path = audit / silo / AUDIT
        verify(path)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert {"synthetic", "update"} <= {line["kind"] for line in lines}
        assert all(line["bytes"] > 0 for line in lines)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--engine", "ctgan"], "there is no engine 'ctgan'"),
        (["--silo", "region"], "silo column 'region' is not in the data"),
        (["--seeds", "0"], "at least 1 is needed"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    wrong: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, [*GIVEN, *wrong]) == 2
    assert sentence in capsys.readouterr().err
