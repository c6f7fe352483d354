"""Who enters a forecast's contest: the floor first, nets where there is much to learn from, the blend last."""

import numpy as np
import pandas as pd
import pytest

from framework.data.load import load
from framework.lineup import line_up


@pytest.mark.parametrize(("series", "nets"), [(2, 0), (20, 3)])
def test_nets_enter_where_there_are_thousands_of_rows(series: int, nets: int) -> None:
    weeks = pd.date_range("2019-01-06", periods=150, freq="W")
    table = pd.concat(
        [pd.DataFrame({"week": weeks, "shop": f"s{s}", "sold": np.arange(150.0) + s}) for s in range(series)]
    )
    entering = line_up(load(table, target="sold", kind="forecast", time="week", series="shop"))
    names = [contender.name for contender in entering]
    assert names[0] == "seasonal_naive"
    assert names[-1] == "blend"
    assert sum(name.startswith("sequence/") for name in names) == nets
