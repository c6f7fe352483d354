"""The empirical Bernstein confidence sequence: the paper's formula row by row, its promise by simulation."""

import math

import numpy as np
import pytest

from framework.statistics.bounded import bounded_difference, bounded_mean
from framework.statistics.sequential import OnlineTestError


def by_the_paper(X: np.ndarray, alpha: float) -> list[tuple[float, float]]:
    """Theorem 2 and equation 26 of the paper, one outcome after the other, with its own v = 4 (X - μ)² and ψ / 4."""
    total = stake = risk = 0.0
    low, high, intervals = 0.0, 1.0, []
    past_mean, past_variance, squares, summed = 0.5, 0.25, 0.25, 0.5
    for t, x in enumerate(X, 1):
        bet = min(math.sqrt(2 * math.log(2 / alpha) / (past_variance * t * math.log(1 + t))), 0.5)
        total, stake = total + bet * x, stake + bet
        risk += 4 * (x - past_mean) ** 2 * (-math.log(1 - bet) - bet) / 4
        radius = (math.log(2 / alpha) + risk) / stake
        low, high = max(low, total / stake - radius), min(high, total / stake + radius)
        intervals.append((low, high))
        summed += x
        past_mean = summed / (t + 1)
        squares += (x - past_mean) ** 2
        past_variance = squares / (t + 1)
    return intervals


def test_it_is_the_papers_sequence():
    X = np.random.default_rng(0).beta(2, 5, 300)
    ours, theirs = bounded_mean(X, alpha=0.1), np.array(by_the_paper(X, 0.1))
    np.testing.assert_allclose(ours.low, theirs[:, 0], rtol=1e-10)
    np.testing.assert_allclose(ours.high, theirs[:, 1], rtol=1e-10)


@pytest.mark.parametrize("rows", [None, 2_000])
@pytest.mark.parametrize("rate", [0.01, 0.5])
def test_rates_that_are_alike_are_told_apart_no_more_often_than_alpha(rate, rows):
    random = np.random.default_rng(1)
    treated = random.random((400, 2_000)) < 0.3
    outcomes = random.random((400, 2_000)) < rate
    found = bounded_difference(outcomes, treated, share=0.3, rows=rows)
    assert found.excludes(0.0)[:, -1].mean() <= 0.05  # the intervals are intersections: the last one tells of all
    assert bounded_mean(outcomes, rows=rows).excludes(rate)[:, -1].mean() <= 0.05


def test_a_difference_is_found_and_its_interval_holds_it():
    random = np.random.default_rng(2)
    treated = random.random((100, 6_000)) < 0.5
    outcomes = 100 * random.beta(np.where(treated, 3, 2), 2)  # means 60 and 50, in other units
    found = bounded_difference(outcomes, treated, high=100.0, rows=6_000)
    assert found.excludes(10.0)[:, -1].mean() <= 0.05
    assert found.excludes(0.0)[:, -1].mean() > 0.95
    assert (np.diff(found.high - found.low, axis=-1) <= 1e-9).all()
    assert (found.high - found.low)[:, -1].max() < 12


def test_outcomes_beyond_their_bounds_get_a_sentence():
    for said, wrong in (
        ("outcome 1.5 lies outside of 0 … 1", lambda: bounded_mean(np.array([0.2, 1.5]))),
        ("lies outside", lambda: bounded_difference(np.array([0.2, np.nan]), np.array([True, False]))),
        ("hold nothing", lambda: bounded_mean(np.array([0.2]), low=1.0, high=1.0)),
        ("share is 1", lambda: bounded_difference(np.array([0.2]), np.array([True]), share=1.0)),
        ("alpha is 0", lambda: bounded_mean(np.array([0.2]), alpha=0.0)),
    ):
        with pytest.raises(OnlineTestError, match=said):
            wrong()
