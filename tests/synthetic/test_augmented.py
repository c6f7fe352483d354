"""A contender that learns from synthetic rows too stands on the leaderboard as any other."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from framework.contender import Contender, Context
from framework.contenders.linear import Linear
from framework.data.load import load
from framework.data.split import Split
from framework.leaderboard import Leaderboard
from framework.statistics import Interval
from synthetic.augmented import Augmented, AugmentedError
from synthetic.copula import Copula
from synthetic.help import Against, Help
from synthetic.weighted import Weighted
from tests.synthetic.tables import attrition

PLAIN = Linear(bends=False, strength=0.3)


@cache
def staff() -> Split:
    return load(attrition()[["Age", "Attrition", "OverTime", "MonthlyIncome", "JobRole"]], target="Attrition")


class Seen:
    """A contender that keeps the fold it was given."""

    name, kinds, pooled, resources = "seen", PLAIN.kinds, True, PLAIN.resources

    def __init__(self) -> None:
        self.folds: list[object] = []

    def fit(self, fold, context):  # type: ignore[no-untyped-def]
        self.folds.append(fold)
        return PLAIN.fit(fold, context)

    def settled(self, model):  # type: ignore[no-untyped-def]
        return self


def test_classes_are_balanced_by_rows_of_the_rarer_and_the_validation_rows_are_let_be() -> None:
    split, seen = staff(), Seen()
    Augmented(seen, Copula()).fit(split.fold, Context(seed=1))  # type: ignore[arg-type]
    given = seen.folds[0]
    counts = np.bincount(given.train.y)  # type: ignore[attr-defined]
    assert counts[0] == counts[1] == np.bincount(split.fold.train.y).max()
    assert given.valid is split.fold.valid  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(given.train.X.iloc[: len(split.fold.train)], split.fold.train.X)  # type: ignore[attr-defined]
    assert given.train.X.dtypes.tolist() == split.fold.train.X.dtypes.tolist()  # type: ignore[attr-defined]


def test_values_are_added_to_by_a_share() -> None:
    split, seen = (
        load(attrition()[["Age", "TotalWorkingYears", "MonthlyIncome", "JobRole"]], target="MonthlyIncome"),
        Seen(),
    )
    Augmented(seen, Copula(), how="share", share=0.5).fit(split.fold, Context(seed=1))  # type: ignore[arg-type]
    assert len(seen.folds[0].train) == len(split.fold.train) + round(0.5 * len(split.fold.train))  # type: ignore[attr-defined]


def test_it_is_a_contender_whose_model_is_its_contenders() -> None:
    split, made = staff(), Augmented(PLAIN, Copula())
    assert isinstance(made, Contender)
    assert made.name == "linear+copula"
    model = made.fit(split.fold, Context(seed=1))
    told = model.predict(split.test.X)
    assert told.shape == (len(split.test), 2)
    assert np.array_equal(told, made.fit(split.fold, Context(seed=1)).predict(split.test.X))
    assert isinstance(made.settled(model), Augmented)
    assert type(model).__module__.startswith("framework.")


def test_rows_in_order_of_time_are_not_added_to() -> None:
    table = attrition()[["Age", "Attrition", "OverTime"]].assign(year=np.arange(1_470) // 100)
    with pytest.raises(AugmentedError, match="cannot add rows where rows have times"):
        Augmented(PLAIN, Copula()).fit(load(table, target="Attrition", time="year").fold, Context())
    with pytest.raises(AugmentedError, match="share=0"):
        Augmented(PLAIN, how="share", share=0.0).check()


def test_class_weights_make_all_classes_count_the_same_and_multiply_those_there_are() -> None:
    split, seen = staff(), Seen()
    made = Weighted(seen)  # type: ignore[arg-type]
    assert made.name == "seen/weights"
    made.fit(split.fold, Context(seed=1))
    given = seen.folds[0].train  # type: ignore[attr-defined]
    sums = np.bincount(given.y, weights=given.weight)
    assert sums == pytest.approx([len(given) / 2, len(given) / 2])
    assert seen.folds[0].valid is split.fold.valid  # type: ignore[attr-defined]
    twice = replace(split.fold.train.truth, weight=np.full(len(given), 2.0))
    Weighted(seen).fit(replace(split.fold, train=replace(split.fold.train, truth=twice)), Context(seed=1))  # type: ignore[arg-type]
    assert seen.folds[1].train.weight == pytest.approx(2 * given.weight)  # type: ignore[attr-defined]
    plain, weighed = (
        each.fit(split.fold, Context(seed=1)).predict(split.test.X)[:, 1] for each in (PLAIN, Weighted(PLAIN))
    )
    assert weighed.mean() > 2 * plain.mean()


def against(other: str, low: float, high: float) -> Against:
    return Against("linear+copula", other, (low + high) / 2, Interval(low, high))


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (against("linear/weights", 0.01, 0.02), "earned its place: surely better than linear and linear/weights"),
        (against("linear/weights", -0.01, 0.02), "did not earn its place: not surely better than linear/weights"),
        (None, "is better than without the rows; class weights, which cost nothing, were not ranked"),
    ],
)
def test_a_place_is_earned_against_class_weights_too(weights: Against | None, told: str) -> None:
    class Board:
        split = staff()

    board: Leaderboard = Board()  # type: ignore[assignment]
    found = Help(board, (against("linear", 0.02, 0.05), *([weights] if weights else [])))
    assert found.places == {"linear+copula": told}
    assert str(found).endswith(f"linear+copula {told}.")
    assert {each["place"] for each in found.to_json()} == {told}
