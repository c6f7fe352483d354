"""Tables that a forecast can only half be made of: told in one sentence."""

import numpy as np
import pandas as pd
import pytest

from framework.data.data_error import DataError
from framework.data.forecast import cut_horizons, gaps
from framework.problem import Problem

DAILY = Problem("sold", "forecast", "sold", time="day", series="shop", horizon=3)


def moments(*days: int) -> np.ndarray:
    return np.datetime64("2024-01-01", "ns") + np.array(days) * np.timedelta64(1, "D")


def test_steps_without_a_row_are_counted_within_their_series() -> None:
    series = np.repeat([0, 1], [6, 5])
    told = gaps(series, moments(0, 1, 2, 5, 6, 7, 3, 4, 5, 6, 7), problem=DAILY)
    assert told.startswith("2 steps of 'day' within 1 of 2 series have no row")
    assert gaps(series, moments(0, 1, 2, 3, 4, 5, 9, 8, 7, 6, 5), problem=DAILY) == ""
    assert "1 step of 'day' within the series has no row" in gaps(
        np.zeros(4, dtype=int), moments(0, 1, 2, 4), problem=Problem("sold", "forecast", "sold", time="day")
    )


def test_months_of_28_and_31_days_have_no_gaps() -> None:
    months = pd.date_range("2001-01-31", periods=60, freq="ME").to_numpy()
    monthly = Problem("sold", "forecast", "sold", time="day")
    assert gaps(np.zeros(60, dtype=int), months, problem=monthly) == ""
    assert gaps(np.zeros(59, dtype=int), np.delete(months, 30), problem=monthly).startswith("1 step")


def test_two_rows_at_one_moment_and_series_too_short_are_told() -> None:
    with pytest.raises(DataError, match="one series of 'shop' has two rows at day 2024-01-02"):
        cut_horizons(np.zeros(3, dtype=int), moments(0, 1, 1), problem=DAILY)
    with pytest.raises(
        DataError, match=r"the longest has 5 steps; with horizon=3 at least 9 are needed .* at most 1\."
    ):
        cut_horizons(np.zeros(5, dtype=int), moments(0, 1, 2, 3, 4), problem=DAILY)
