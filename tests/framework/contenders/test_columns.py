"""From raw columns to what engines take, and answers there and back."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from framework.contenders.constant import weighted_quantile
from framework.contenders.linear import ridge_path
from framework.contenders.native import Native
from framework.contenders.preprocess import dense
from framework.contenders.probabilities import widen
from framework.contenders.target import Target
from framework.data.column import Column
from framework.data.schema import Schema

SCHEMA = Schema(
    (
        Column("size", "number"),
        Column("pool", "boolean"),
        Column("street", "category", ("Main", "Oak", "Pine")),
        Column("sold", "date"),
    )
)
ROWS = pd.DataFrame(
    {
        "size": [10.0, np.nan, 30.0],
        "pool": [1.0, 0.0, np.nan],
        "street": pd.Categorical(["Oak", None, "Main"], categories=["Main", "Oak", "Pine"]),
        "sold": pd.to_datetime(["2020-01-01 00:00", None, "2020-07-01 12:00"]),
    }
)


def test_a_tree_engine_gets_codes_and_keeps_the_gaps() -> None:
    native = Native.learn(SCHEMA, ROWS, seed=0)
    told = native.matrix(ROWS)
    assert told.shape == (3, native.width)
    assert np.array_equal(told[:, 2], [1.0, np.nan, 0.0], equal_nan=True)
    assert np.array_equal(told[:, 0], ROWS["size"], equal_nan=True)
    assert told[0, 3] == pytest.approx(18262)  # days from 1970 to 2020
    assert np.isnan(told[1, 3:]).all()
    assert native.categorical == [False, False, True] + [False] * 7


def test_categories_in_another_order_get_the_codes_of_training() -> None:
    other = ROWS.assign(street=pd.Categorical(["Oak", "Elm", "Main"], categories=["Elm", "Main", "Oak"]))
    assert np.array_equal(Native(SCHEMA).matrix(other)[:, 2], [1.0, np.nan, 0.0], equal_nan=True)


def test_only_numbers_are_not_copied() -> None:
    X = pd.DataFrame(np.ones((100, 4)), columns=list("abcd"))
    native = Native(Schema(tuple(Column(name, "number") for name in X)))
    assert np.shares_memory(native.matrix(X), X.to_numpy())


def test_the_dense_matrix_has_no_gaps_and_an_even_scale() -> None:
    rng = np.random.default_rng(0)
    rows = ROWS.iloc[rng.integers(0, 3, 300)].reset_index(drop=True)
    rows["size"] = np.exp(rng.normal(0, 2, 300))
    told = dense(SCHEMA).fit_transform(rows)
    assert np.isfinite(told).all()
    assert np.abs(told[:, 0]).max() < 6  # a log-normal with a spread of 2 reaches beyond 15 without its log


def test_a_column_without_any_value_and_one_that_is_constant_are_taken() -> None:
    rows = pd.DataFrame(
        {"size": [np.nan] * 30, "pool": [1.0] * 30, "street": pd.Categorical([None] * 30), "sold": pd.NaT}
    )
    assert np.isfinite(dense(SCHEMA, knots=5).fit_transform(rows.astype({"sold": "datetime64[ns]"}))).all()


def test_a_target_comes_back_from_its_scale() -> None:
    y = np.exp(np.random.default_rng(0).normal(11, 0.4, 200))
    for logged in (False, True):
        target = Target.learn(y, logged=logged)
        assert np.allclose(target.back(target.forward(y)), y)
        assert Target.from_json(target.to_json()) == target
    assert np.isfinite(Target.learn(y, logged=True).back(np.array([1e6]))).all()


def test_the_ridge_path_is_scikit_learns_ridge() -> None:
    rng = np.random.default_rng(0)
    A, B, weight = rng.normal(size=(60, 5)), rng.normal(size=(7, 5)), rng.uniform(0.1, 2, 60)
    z = A @ np.arange(5) + rng.normal(size=60)
    for penalty, told in zip((0.1, 10.0), ridge_path(A, z, B, weight, (0.1, 10.0)), strict=True):
        assert np.allclose(told, Ridge(alpha=penalty).fit(A, z, sample_weight=weight).predict(B))


def test_a_class_that_training_lacked_has_no_chance() -> None:
    assert np.allclose(widen(np.array([[0.5, 0.5]]), np.array([0, 2]), 3), [[0.5, 0.0, 0.5]])


def test_a_weighted_quantile_counts_by_weight() -> None:
    assert weighted_quantile(np.array([3.0, 1.0, 2.0]), 0.5, np.array([10.0, 1.0, 1.0])) == 3.0
