"""How a silo's budget is dealt to what it is asked: statistics first, then every step of training."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from federated.privacy.levels import RecordLevel
from framework.privacy.accountant import PrivacyError, Spend, epsilon_of, noise_for

if TYPE_CHECKING:
    from federated.job import Job

NAMING = 0.01  # of δ, for naming categories
PASSES = 3  # histograms: where the values are, where most of them are, how they lie there


@dataclass(frozen=True)
class Plan:
    """What a silo of so many rows does for its budget, all of it known to everybody: it depends on no row.

    statistics: the noise of a question about the columns, over its sensitivity, and `questions` how many there are;
    noise: of a step of training, over the clip; rate: a row's chance to be in a step; pass_steps: the steps of an
    epoch. rounds: that the budget allows; last: the steps of what a silo trains for itself after them.
    """

    privacy: RecordLevel
    statistics: float
    questions: int
    categories: bool
    noise: float
    rate: float
    pass_steps: int
    epochs: int
    rounds: int
    last: int

    @property
    def steps(self) -> int:
        """Of training, in all."""
        return self.rounds * self.epochs * self.pass_steps + self.last

    def spent(self, rounds: int) -> list[Spend]:
        """What the statistics, so many rounds and what follows them cost."""
        return [*self.agreed, Spend(self.noise, self.rate, rounds * self.epochs * self.pass_steps + self.last)]

    @property
    def agreed(self) -> list[Spend]:
        """What the statistics cost."""
        delta = NAMING * self.privacy.delta if self.categories else 0.0
        return [Spend(self.statistics, steps=self.questions, delta=delta)] if self.questions else []


def planned(job: "Job", rows: int) -> Plan:
    """The plan of a silo of so many rows to learn from. Raises PrivacyError where the budget allows no round."""
    privacy = job.privacy
    assert isinstance(privacy, RecordLevel)  # the only one that silos keep themselves
    named = any(kind == "category" for _, kind in job.columns)
    last = getattr(job.strategy, "epochs", 0) if job.strategy.personalises else 0
    return _planned(privacy, rows, job.plan.batch, job.plan.epochs, job.rounds, last, named)


def rounds_within(job: "Job", rows: Mapping[str, int]) -> int:
    """The rounds that every silo's budget allows, at most the job's. rows: silo → its rows to learn from."""
    if not isinstance(job.privacy, RecordLevel) or job.privacy.noise is None or not rows:
        return job.rounds
    return min(planned(job, count).rounds for count in set(rows.values()))


def spent_by(job: "Job", rows: Mapping[str, int], rounds: int) -> dict[str, float]:
    """Silo → the ε that so many rounds have cost it, at the job's δ."""
    privacy = job.privacy
    assert isinstance(privacy, RecordLevel)
    costs = {count: epsilon_of(planned(job, count).spent(rounds), privacy.delta) for count in set(rows.values())}
    return {silo: costs[count] for silo, count in rows.items()}


@lru_cache(maxsize=1024)
def _planned(
    privacy: RecordLevel, rows: int, batch: int, epochs: int, rounds: int, last_epochs: int, named: bool
) -> Plan:
    rate, pass_steps = min(1.0, batch / rows), -(-rows // batch)
    questions = (PASSES + named) if privacy.statistics else 0
    statistics, before = 0.0, []
    if questions:
        naming = Spend(1.0, steps=0, delta=NAMING * privacy.delta if named else 0.0)
        statistics = noise_for(
            privacy.statistics * privacy.epsilon, privacy.delta, rate=1.0, steps=questions, before=[naming]
        )
        before = [Spend(statistics, steps=questions, delta=naming.delta)]
    last = last_epochs * pass_steps

    def steps(count: int) -> int:
        return count * epochs * pass_steps + last

    def made(noise: float, count: int) -> Plan:
        return Plan(privacy, statistics, questions, named, noise, rate, pass_steps, epochs, count, last)

    if privacy.noise is None:
        noise = noise_for(privacy.epsilon, privacy.delta, rate=rate, steps=steps(rounds), before=before)
        return made(noise, rounds)

    def fits(count: int) -> bool:
        spends = [*before, Spend(privacy.noise or 0.0, rate, steps(count))]
        return epsilon_of(spends, privacy.delta) <= privacy.epsilon

    if fits(rounds):
        return made(privacy.noise, rounds)
    low, high = 0, rounds  # low fits, high does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    if not low:
        raise PrivacyError(
            f"with noise={privacy.noise:g} one round over {rows} rows costs more than ε = {privacy.epsilon:g}. Ask for "
            f"more noise, or leave it out to have it made to fit."
        )
    return made(privacy.noise, low)
