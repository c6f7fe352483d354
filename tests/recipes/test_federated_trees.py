"""Trees of silos from the command line: one leaderboard, and every silo's audit."""

import json
from pathlib import Path

import pytest

from federated.audit import verify
from framework.recipe import command
from recipes.federated_trees import SMOKE, main

GIVEN = ["--data", SMOKE.data, "--target", "sex", "--silo", "island", "--hosts", "0", "--minutes", "4"]


def test_trees_of_silos_stand_beside_local_and_pooled_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked = [*GIVEN, "--rounds", "8", "--out", str(tmp_path / "out"), "--audit", str(tmp_path / "audit"), "--secure"]
    assert command(main, asked) == 0
    told = capsys.readouterr().out
    entries = json.loads((tmp_path / "out" / "report.json").read_text())["leaderboard"]["entries"]
    assert {row["name"]: row["status"] for row in entries} == dict.fromkeys(
        ("local trees", "bagged trees", "federated trees", "pooled trees"), "done"
    )
    assert "federated trees" in told
    assert {path.name for path in (tmp_path / "audit").iterdir()} == {"Biscoe", "Dream", "Torgersen"}
    for path in (tmp_path / "audit").iterdir():
        assert verify(path / "audit.jsonl")[0] > 5
        assert '"masked"' in (path / "audit.jsonl").read_text(), "their sums were masked"


def test_mistakes_are_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(main, [*GIVEN[:4], "--silo", "region"]) == 2
    assert "silo column 'region' is not in the data" in capsys.readouterr().err
