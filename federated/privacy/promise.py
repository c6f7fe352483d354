"""What a fit can say of its privacy once it is done: what was spent, for whom it counts, and what is not covered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from federated.privacy.levels import SiloLevel
from federated.privacy.plan import planned, spent_by
from federated.strategies import Strategy
from federated.strategies.silo_private import SiloPrivate
from framework.privacy.accountant import PrivacyError, Spend, epsilon_of, noise_for
from framework.privacy.ledger import LEDGER, Ledger

if TYPE_CHECKING:
    from cluster.wire import Facts
    from federated.job import Job

MANY = 100  # silos, from which hiding whole ones leaves something to learn from
TENTH = 10.0


@dataclass(frozen=True)
class Promise:
    """unit: what is hidden, a "record" or a "silo". epsilon: of this fit, the largest of any silo. ever: the largest of
    any silo's whole ledger, all fits on it together, tuning too; None: no ledger outlives the fit. noise: of a step,
    the smallest. statistics: "noisy" (epsilon covers what was agreed of the columns) or "public" (it does not).
    """

    unit: Literal["record", "silo"]
    epsilon: float
    delta: float
    clip: float
    noise: float
    statistics: Literal["noisy", "public"]
    ever: float | None = None

    def __str__(self) -> str:
        what = "each row of each silo" if self.unit == "record" else "each silo as a whole"
        seen = "what its silo sends" if self.unit == "record" else "the model"
        told = f"({self.epsilon:.3g}, {self.delta:g})-differential privacy for {what}, from whoever sees {seen}"
        if self.ever is not None:
            told += f"; ε = {self.ever:.3g} with all that these silos' ledgers hold"
        elif self.unit == "record":
            told += "; other fits on the same rows, as of a sweep, are not counted in it"
        if self.statistics == "public":
            told += "; what was agreed of the columns was declared public and is not covered"
        return f"{told}."

    def to_facts(self) -> "Facts":
        return asdict(self)


def kept_by(job: "Job", rows: Mapping[str, int], rounds: int, folder: Path | None) -> Promise:
    """What holds after so many rounds of a job with privacy. rows: of each silo to learn from. folder: below which
    silos keep their ledgers; None: nowhere that outlives the fit."""
    privacy = job.privacy
    assert privacy is not None
    if isinstance(privacy, SiloLevel):
        noise = _of(job).noise
        epsilon = epsilon_of([Spend(noise, privacy.share, rounds)], privacy.delta)
        return Promise("silo", epsilon, privacy.delta, privacy.clip, noise, "public")
    epsilon = max(spent_by(job, rows, rounds).values())
    noise = min(planned(job, count).noise for count in set(rows.values()))
    ever = None
    if folder is not None:
        ever = max((Ledger(path).epsilon(privacy.delta) for path in sorted(folder.glob(f"*/{LEDGER}"))), default=None)
    kind: Literal["noisy", "public"] = "noisy" if privacy.statistics else "public"
    return Promise("record", epsilon, privacy.delta, privacy.clip, noise, kind, ever)


def hidden(strategy: Strategy, privacy: SiloLevel, *, silos: int, rounds: int) -> tuple[Strategy, int]:
    """The strategy with the noise that hides each silo, and the rounds that epsilon allows, at most those asked for.

    Raises PrivacyError where it allows none.
    """
    noise = privacy.noise
    if noise is None:
        noise = noise_for(privacy.epsilon, privacy.delta, rate=privacy.share, steps=rounds)
        return SiloPrivate(strategy, privacy.clip, noise, privacy.share, silos), rounds
    low, high = 0, rounds + 1
    while high - low > 1:
        middle = (low + high) // 2
        fits = epsilon_of([Spend(noise, privacy.share, middle)], privacy.delta) <= privacy.epsilon
        low, high = (middle, high) if fits else (low, middle)
    if not low:
        raise PrivacyError(
            f"with noise={noise:g} a single round costs more than ε = {privacy.epsilon:g}. Ask for more noise, or "
            f"leave it out to have it made to fit."
        )
    return SiloPrivate(strategy, privacy.clip, noise, privacy.share, silos), low


def few_silos(job: "Job") -> str:
    """A remark on federations too small to hide a silo in; empty for others."""
    strategy = _of(job)
    if strategy.silos >= MANY:
        return ""
    counted = strategy.share * strategy.silos
    assert job.privacy is not None
    usable = epsilon_of([Spend(counted / TENTH, strategy.share, job.rounds)], job.privacy.delta)
    return (
        f"{strategy.silos} silos are few to hide one among, below {MANY}: the noise on each weight of the mean change "
        f"is {strategy.noise / counted:.2g} times as large as all of a silo's change may be. With noise of a tenth of "
        f"that size, ε would really be {usable:.3g} over {job.rounds} rounds. RecordLevel hides rows instead, and "
        f"needs no more silos."
    )


def _of(job: "Job") -> SiloPrivate:
    assert isinstance(job.strategy, SiloPrivate)  # a job with silo-level privacy has no other
    return job.strategy
