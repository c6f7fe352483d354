"""The recipe that lets a challenger take the champion's place, or takes it back."""

import json
import shutil
from pathlib import Path

import pytest

from framework.contenders import Constant, LightGBM
from framework.recipe import command
from framework.registry import history, register, versions
from recipes.promote import SMOKE, Config, main
from tests.boards import board, tumours

KNOWN = 340


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose registry holds a poor champion and a good challenger, and files of known and of fresh rows."""
    folder = tmp_path_factory.mktemp("made")
    asked = {"target": "target", "name": "tumours", "kind": "binary"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/registry.db")
        register(board(tumours().iloc[:KNOWN], Constant(), **asked))
        register(board(tumours().iloc[:KNOWN], LightGBM(rounds=30), **asked), alias="challenger")
    tumours().iloc[KNOWN:].to_csv(folder / "fresh.csv", index=False)
    tumours().iloc[:KNOWN].to_csv(folder / "known.csv", index=False)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a registry of its own."""
    for name in ("registry.db", "fresh.csv", "known.csv"):
        shutil.copy(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/registry.db")
    return tmp_path


def champion() -> int:
    return next(each.version for each in versions("tumours") if each.alias == "champion")


def test_a_challenger_is_refused_promoted_and_taken_back(project, capsys):
    assert command(main, ["--name", "tumours", "--data", "known.csv", "--out", "refused"]) == 2
    told = capsys.readouterr()
    assert "error: version 2 of 'tumours' is not promoted, version 1 stays the champion: version 2 has" in told.err
    assert told.out.startswith("ROC AUC (higher is better) on 340 rows of known.csv\n")
    assert champion() == 1
    kept = json.loads((project / "refused" / "report.json").read_text())
    assert kept["promotion"]["done"] is False
    assert kept["promotion"]["comparison"]["models"][0]["name"] == "version 2"

    assert command(main, ["--name", "tumours", "--data", "fresh.csv"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("version 2 of 'tumours' is its champion now, it was version 1.\nROC AUC (higher is better)")
    assert champion() == 2

    assert command(main, ["--name", "tumours", "--rollback", "--why", "it drifts", "--out", "back"]) == 0
    assert "tumours: champion: version 2 → version 1, rolled back by" in capsys.readouterr().out
    assert champion() == 1
    kept = json.loads((project / "back" / "report.json").read_text())
    assert [each["act"] for each in kept["history"] if each["alias"] == "champion"] == [
        "registered",
        "promoted",
        "rolled back",
    ]


def test_force_is_a_flag_with_a_reason(project, capsys):
    assert command(main, ["--name", "tumours", "--data", "known.csv", "--force"]) == 2
    assert "the history has to tell why" in capsys.readouterr().err
    promotion = main(Config("tumours", data="known.csv", force=True, why="the test leaks"))
    assert promotion.forced
    assert champion() == 2
    assert history("tumours").changes[-1].why.startswith("the test leaks; ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "tumours"], "there are no rows to compare on. Pass --data with fresh ones, or --rollback."),
        (["--name", "tumours", "--rollback"], "has no champion before version 1: there is nothing to go back to"),
        (["--name", "nobody", "--data", "fresh.csv"], "has no model 'nobody'. It has: tumours."),
        (["--name", "tumours", "--data", "missing.csv"], "missing.csv"),
    ],
)
def test_a_mistake_is_one_sentence(project, capsys, arguments, sentence):
    assert command(main, arguments) == 2
    assert sentence in capsys.readouterr().err


def test_the_smoke_config_forces_by_a_reason():
    assert SMOKE.force
    assert SMOKE.why
