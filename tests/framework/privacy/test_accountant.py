"""What noisy answers cost: the accountant against closed forms, reference accountants and published figures."""

import math
import sys

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from framework.privacy.accountant import PrivacyError, Spend, choice_epsilon, epsilon_of, noise_for
from framework.privacy.accountant import gaussian_epsilon as told_of_one

DELTA = 1e-5


def gaussian_epsilon(noise: float) -> float:
    """δ(ε) = Φ(1/2σ - εσ) - e^ε Φ(-1/2σ - εσ) solved for ε (Balle, Wang 2018, Theorem 8)."""

    def over(epsilon: float) -> float:
        near, far = 0.5 / noise - epsilon * noise, -0.5 / noise - epsilon * noise
        return float(norm.cdf(near) - math.exp(epsilon + norm.logcdf(far)) - DELTA)

    return float(brentq(over, 1e-9, 200))


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0, 5.0, 20.0])
def test_a_single_answer_costs_what_the_closed_form_says(noise: float) -> None:
    told = epsilon_of([Spend(noise)], DELTA)
    assert gaussian_epsilon(noise) <= told <= 1.01 * gaussian_epsilon(noise)


def test_many_whole_answers_are_one_of_less_noise() -> None:
    both = [Spend(4.0, steps=9), Spend(2.0, steps=3)]
    assert epsilon_of(both, DELTA) == epsilon_of([Spend((9 / 16 + 3 / 4) ** -0.5)], DELTA)


@pytest.mark.parametrize(
    ("spend", "published"),
    [  # by dp-accounting's privacy loss distributions, ../shared/research/federated.md, section C
        (Spend(5.0, steps=30), 4.9),
        (Spend(10.0, steps=30), 2.2),
        (Spend(1.1, 16 / 300, 600), 7.5),
    ],
)
def test_it_agrees_with_dp_accounting(spend: Spend, published: float) -> None:
    assert epsilon_of([spend], DELTA) == pytest.approx(published, abs=0.05 + 0.01 * published)


def test_sampled_and_whole_answers_together_are_within_the_reference_and_the_sum() -> None:
    from opacus.accountants import PRVAccountant, RDPAccountant

    history = [(1.1, 16 / 300, 600), (5.0, 1.0, 1)]
    spends = [Spend(*each) for each in history]
    told = epsilon_of(spends, DELTA)
    exact, rough = PRVAccountant(), RDPAccountant()
    exact.history, rough.history = history, history
    assert told == pytest.approx(exact.get_epsilon(DELTA), rel=0.01)
    assert told < rough.get_epsilon(DELTA)
    assert max(epsilon_of([each], DELTA) for each in spends) < told < sum(epsilon_of([each], DELTA) for each in spends)


def test_delta_can_be_used_up() -> None:
    assert epsilon_of([], DELTA) == 0.0
    assert epsilon_of([Spend(5.0, delta=DELTA)], DELTA) == math.inf
    assert epsilon_of([Spend(5.0, delta=DELTA / 2)], DELTA) > epsilon_of([Spend(5.0)], DELTA)


@pytest.mark.parametrize(("epsilon", "rate", "steps"), [(8.0, 0.2, 50), (1.0, 1.0, 4)])
def test_noise_is_made_to_fit_and_never_too_little(epsilon: float, rate: float, steps: int) -> None:
    before = [Spend(20.0, steps=2)]
    noise = noise_for(epsilon, DELTA, rate=rate, steps=steps, before=before)
    assert 0.98 * epsilon <= epsilon_of([*before, Spend(noise, rate, steps)], DELTA) <= epsilon


def test_without_opacus_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus.accountants.analysis", None)
    with pytest.raises(PrivacyError, match="install the extra 'private'"):
        epsilon_of([Spend(3.14159, 0.5)], DELTA)


def test_what_cannot_fit_is_said() -> None:
    with pytest.raises(PrivacyError, match="nothing is left"):
        noise_for(1.0, DELTA, rate=1.0, steps=1, before=[Spend(1.0)])


def test_the_closed_form_is_the_definition_evaluated() -> None:
    noise, delta = 1.5, 1e-4
    epsilon = told_of_one(noise, delta)
    line = np.linspace(-30, 30, 2_000_001)
    beyond = norm.pdf(line, 1, noise) - np.exp(epsilon) * norm.pdf(line, 0, noise)
    assert np.trapezoid(np.maximum(beyond, 0), line) == pytest.approx(delta, rel=1e-3)
    assert told_of_one(1e9, delta) == 0.0


@pytest.mark.parametrize("noise", [0.3, 1.0, 4.0, 30.0])
def test_a_choice_tells_no_more_than_the_gaussian_answer_it_is_charged_as(noise: float) -> None:
    """At no chance of one error is the other smaller than the Gaussian's, whichever scores the rows gave."""
    far, epsilon = 1 / noise, choice_epsilon(noise)
    draw = np.random.default_rng(1)
    worst = math.inf
    pairs = [(np.array([0.5, -0.5]) * epsilon, np.zeros(2))]
    pairs += [(first := draw.uniform(0, 3, 6), first + draw.uniform(-1, 1, 6) * epsilon / 2) for _ in range(200)]
    for one, other in pairs:
        here, there = (np.exp(each - each.max()) / np.exp(each - each.max()).sum() for each in (one, other))
        order = np.argsort(there / here)
        misses, alarms = 1 - np.cumsum(there[order][::-1]), np.cumsum(here[order][::-1])
        held = (alarms > 0) & (alarms < 1)
        worst = min(worst, float((misses - norm.cdf(norm.isf(alarms) - far))[held].min()))
    assert -1e-12 <= worst < 0.05


def test_a_budget_larger_than_the_least_noise_costs_is_not_spent() -> None:
    assert noise_for(1e6, DELTA, rate=0.5, steps=2) == 0.05
