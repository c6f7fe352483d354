"""The recipe that sets models side by side."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.contenders import Constant, LightGBM
from framework.recipe import command
from framework.registry import register
from recipes.compare import main
from tests.boards import board, tumours

KNOWN = 340


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two versions in a registry, a third model in a folder, one of another question, and fresh rows."""
    folder = tmp_path_factory.mktemp("project")
    table, asked = tumours().iloc[:KNOWN], {"target": "target", "name": "tumours", "kind": "binary"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/registry.db")
        register(board(table, Constant(), **asked))
        register(board(table, LightGBM(rounds=30), **asked))
        board(table, LightGBM(rounds=2), **asked).winner.save(folder / "short")
        board(table, target="mean area", name="areas", kind="regression").winner.save(folder / "areas")
        tumours().iloc[KNOWN:].to_parquet(folder / "fresh.parquet")
        yield folder


def test_models_from_registry_and_folder_stand_in_one_table(project, capsys):
    models = ["models:/tumours/1", "models:/tumours@champion", "short"]
    assert command(main, ["--models", *models, "--data", "fresh.parquet", "--out", "out"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ROC AUC (higher is better) on 229 rows of fresh.parquet"
    assert lines[3].split()[1] == "models:/tumours@champion"
    kept = json.loads((project / "out" / "report.json").read_text())
    assert [each["name"] for each in kept["comparison"]["models"]] == [lines[place].split()[1] for place in (3, 4, 5)]
    assert kept["config"]["data"] == "fresh.parquet"
    page = (project / "out" / "comparison.html").read_text()
    assert "models:/tumours/1" in page
    assert "| 1 | models:/tumours@champion |" in (project / "out" / "comparison.md").read_text()


def test_another_metric_may_be_asked_for(project, capsys):
    both = ["--models", "models:/tumours/1", "models:/tumours/2"]
    assert command(main, [*both, "--data", "fresh.parquet", "--metric", "log_loss"]) == 0
    assert "log loss (lower is better)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (["short"], "--models names 1 model; it takes two or more different ones."),
        (["short", "areas"], "short and areas do not answer the same question: kind is 'binary'"),
        (["short", "models:/tumours/9"], "model 'tumours' has no version 9"),
        (["short", "nowhere"], "there is no model folder at nowhere"),
    ],
)
def test_a_mistake_is_one_sentence(project, capsys, models, sentence):
    assert command(main, ["--models", *models, "--data", "fresh.parquet"]) == 2
    assert sentence in capsys.readouterr().err
