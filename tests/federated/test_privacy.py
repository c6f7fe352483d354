"""How a federation deals its ε: plans, rounds within a budget, promises without sense."""

from dataclasses import replace

import pytest

from federated import strategies
from federated.privacy import PrivacyError, RecordLevel, SiloLevel
from federated.privacy.plan import planned, rounds_within, spent_by
from federated.privacy.promise import hidden
from framework.privacy.accountant import epsilon_of
from tests.federated.portfolios import job_of

DELTA = 1e-5


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
