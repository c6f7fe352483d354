"""What noisy answers cost: the accountant against closed forms and published figures, plans, and ledgers."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from federated import strategies
from federated.audit import AuditError
from federated.privacy import Ledger, PrivacyError, RecordLevel, SiloLevel, Spend
from federated.privacy.accountant import epsilon_of, noise_for
from federated.privacy.ledger import Charge
from federated.privacy.plan import planned, rounds_within, spent_by
from federated.privacy.promise import hidden
from tests.federated.portfolios import job_of

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
        epsilon_of([Spend(3.14159)], DELTA)


def test_what_cannot_fit_is_said() -> None:
    with pytest.raises(PrivacyError, match="nothing is left"):
        noise_for(1.0, DELTA, rate=1.0, steps=1, before=[Spend(1.0)])


def test_a_plan_deals_epsilon_to_statistics_and_training() -> None:
    job = replace(job_of(strategies.FedAvg(), rounds=3), privacy=RecordLevel(4.0, statistics=0.25))
    plan = planned(job, 32)
    assert (plan.rate, plan.pass_steps, plan.steps) == (1.0, 1, 3)
    half = planned(replace(job, privacy=RecordLevel(4.0, statistics=0.0, noise=9.0)), 64)
    assert (half.rate, half.pass_steps, half.steps) == (0.5, 2, 3 * 2)
    assert plan.questions == 4  # categories, and three passes of histograms
    assert 0.95 <= epsilon_of(plan.agreed, DELTA) <= 1.0
    assert 3.9 <= epsilon_of(plan.spent(3), DELTA) <= 4.0
    assert spent_by(job, {"a": 32}, 3)["a"] > spent_by(job, {"a": 32}, 1)["a"]
    public = planned(replace(job, privacy=RecordLevel(4.0, statistics=0.0)), 32)
    assert public.noise < plan.noise
    assert public.agreed == []
    tuned = replace(job, strategy=strategies.FineTuned(strategies.FedAvg(), epochs=5))
    assert planned(tuned, 32).steps == 3 + 5


def test_with_a_given_noise_the_budget_ends_training() -> None:
    job = replace(job_of(strategies.FedAvg(), rounds=50), privacy=RecordLevel(4.0, statistics=0.0, noise=3.0))
    rounds = rounds_within(job, {"a": 32, "b": 30})
    assert 1 < rounds < 50
    assert max(spent_by(job, {"a": 32, "b": 30}, rounds).values()) <= 4.0
    assert max(spent_by(job, {"a": 32, "b": 30}, rounds + 1).values()) > 4.0
    assert rounds_within(job_of(strategies.FedAvg(), rounds=50), {"a": 32}) == 50
    with pytest.raises(PrivacyError, match="one round over 32 rows costs more than ε = 1"):
        planned(replace(job, privacy=RecordLevel(1.0, statistics=0.0, noise=0.5)), 32)
    _, few = hidden(strategies.FedAvg(), SiloLevel(4.0, noise=3.0), silos=9, rounds=50)
    assert few == rounds  # a silo that is in every round costs what a row that is in every step does


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: RecordLevel(0.0), "must be above 0"),
        (lambda: RecordLevel(1.0, delta=1.0), "delta below 1"),
        (lambda: RecordLevel(1.0, statistics=1.0), "from 0"),
        (lambda: RecordLevel(1.0, noise=0.0), "noise=0 must be above 0"),
        (lambda: SiloLevel(1.0, share=0.0), "share=0 of the silos"),
    ],
)
def test_promises_without_sense_are_refused(made: object, sentence: str) -> None:
    with pytest.raises(PrivacyError, match=sentence):
        made()  # type: ignore[operator]


def test_a_ledger_adds_up_over_federations_and_processes_and_notices_changes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first, second = Ledger(path), Ledger(path)
    statistics, training = Spend(10.0, steps=3), Spend(2.0, 0.25, 8)
    with first.writing() as held:
        held.charge(Charge(1e9, "tuning", "statistics", "q1", statistics))
    with second.writing() as held:
        assert held.paid("q1")
        held.charge(Charge(2e9, "final", "training", "q2", training))
    whole = Ledger(path)
    assert [each.question for each in whole.charges()] == ["q1", "q2"]
    assert whole.epsilon(DELTA) == epsilon_of([statistics, training], DELTA)
    assert whole.epsilon(DELTA, job="tuning") == epsilon_of([statistics], DELTA)
    assert whole.epsilon(DELTA, days=30) == epsilon_of([training], DELTA)  # the other is of 2001
    lines = path.read_text().splitlines()
    assert json.loads(lines[0])["spend"]["noise"] == 10.0
    path.write_text(lines[0].replace("10.0", "99.0") + "\n" + lines[1] + "\n")
    with pytest.raises(AuditError, match="line 1"):
        Ledger(path)
