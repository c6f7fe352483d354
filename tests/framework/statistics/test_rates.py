"""Intervals of rates hold at every look."""

import math

import numpy as np
import pytest

from framework.statistics.rates import log_mixture, rate_interval
from framework.statistics.sequential import OnlineTestError


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.97])
def test_no_look_of_all_misses_the_rate_more_often_than_alpha_allows(rate: float) -> None:
    draw = np.random.default_rng(0).random((1_000, 2_000)) < rate
    rows = np.arange(1, draw.shape[1] + 1)
    ruled_out = log_mixture(np.cumsum(draw, axis=1), rows, rate) >= math.log(1 / 0.05)
    assert 0 < ruled_out.any(axis=1).mean() <= 0.05


@pytest.mark.parametrize(("events", "rows"), [(0, 10), (3, 10), (10, 10), (5, 4_000), (0, 1), (999_000, 1_000_000)])
def test_the_ends_are_where_the_mixture_reaches_its_limit(events: int, rows: int) -> None:
    found = rate_interval(events, rows, alpha=0.01)
    assert 0 <= found.low <= events / rows <= found.high <= 1
    for end in (found.low, found.high):
        if 0 < end < 1:
            reached = float(log_mixture(np.array(events), np.array(rows), end))
            assert reached == pytest.approx(math.log(100), abs=1e-4)
    exact = math.exp(math.lgamma(events + 1) + math.lgamma(rows - events + 1) - math.lgamma(rows + 2))
    if rows == 10:
        by_hand = math.log(exact / (0.4**events * 0.6 ** (rows - events)))
        assert float(log_mixture(np.array(events), np.array(rows), 0.4)) == pytest.approx(by_hand)


def test_ten_failures_of_ten_tell_more_than_none() -> None:
    assert rate_interval(0, 0) == rate_interval(0, 0, alpha=0.5)
    assert (rate_interval(0, 0).low, rate_interval(0, 0).high) == (0.0, 1.0)
    assert rate_interval(10, 10).low > 0.5
    assert rate_interval(0, 1_000).high < 0.02
    with pytest.raises(OnlineTestError, match="11 events of 10 rows"):
        rate_interval(11, 10)
