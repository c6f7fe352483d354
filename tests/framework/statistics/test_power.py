"""Sizes of online tests against statsmodels, and against the formula they are solved from."""

import math

import pytest
from scipy.stats import norm
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import power_proportions_2indep

from framework.statistics.power import power_for_means, power_for_rates, size_for_means, size_for_rates
from framework.statistics.sequential import OnlineTestError, mixture_radius


@pytest.mark.parametrize(("effect", "ratio", "power"), [(0.3, 1.0, 0.8), (-0.1, 0.25, 0.9), (2.0, 3.0, 0.5)])
def test_means_are_sized_as_statsmodels_sizes_them(effect, ratio, power):
    theirs = NormalIndPower().solve_power(abs(effect) / 2.5, alpha=0.05, power=power, ratio=ratio)
    ours = size_for_means(effect, 2.5, power=power, ratio=ratio)
    assert ours.control == math.ceil(theirs)
    assert ours.treated == math.ceil(theirs * ratio)
    assert power_for_means(effect, 2.5, rows=ours.control, ratio=ratio) >= power


@pytest.mark.parametrize(("rate", "effect", "ratio"), [(0.1, 0.02, 1.0), (0.5, -0.05, 2.0), (0.01, 0.002, 1.0)])
def test_rates_have_the_power_that_statsmodels_says(rate, effect, ratio):
    sized = size_for_rates(rate, effect, ratio=ratio)
    theirs = power_proportions_2indep(
        effect, rate, nobs1=sized.treated, ratio=1 / ratio, alpha=0.05, return_results=False
    )
    assert theirs == pytest.approx(0.8, abs=0.01)  # theirs pools the rates where there is no effect
    assert power_for_rates(rate, effect, rows=sized.control, ratio=ratio) == pytest.approx(0.8, abs=0.001)


def test_a_test_that_may_be_peeked_at_is_sized_by_its_own_interval():
    sized = size_for_means(0.5, 4.0, power=0.9)
    variance = 2 * 16.0 / sized.peeked_control
    radius = mixture_radius(variance, effect=0.5, alpha=0.05)
    assert norm.sf(radius, 0.5, math.sqrt(variance)) == pytest.approx(0.9, abs=0.001)
    assert 1.3 < sized.peeked_control / sized.control < 2.5


def test_sizes_that_cannot_be_get_a_sentence():
    for said, wrong in (
        ("a difference of nothing", lambda: size_for_means(0.0, 1.0)),
        ("deviation is 0", lambda: size_for_means(1.0, 0.0)),
        ("cannot become 1.1", lambda: size_for_rates(0.9, 0.2)),
        ("power is 0.01", lambda: size_for_means(1.0, 1.0, power=0.01)),
        ("ratio is -1", lambda: size_for_means(1.0, 1.0, ratio=-1.0)),
        ("asks for more than", lambda: size_for_means(1e-9, 1.0)),
        ("alpha is 2", lambda: power_for_rates(0.5, 0.1, rows=10, alpha=2.0)),
    ):
        with pytest.raises(OnlineTestError, match=said):
            wrong()
