"""A linear model over silos that is the one of their pooled rows: they add up sums, and a few are enough."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from cluster.resources import Resources
from federated.agreement import Agreement
from federated.channel import Direct, SigningChannel, end_hosts, start_hosts
from federated.dealt import able, check_hosts, deal
from federated.exchange import Exchange
from federated.linear.job import LinearJob
from federated.linear.model import LinearModel
from federated.linear.silo import LinearSilo
from federated.linear.solution import Setting, Solving
from federated.policy import USUAL, Policy
from federated.rounds import Terms
from federated.secure_aggregation.identity import found
from framework.contender import Context, Model
from framework.data.column import ColumnKind
from framework.data.frame import Fold
from framework.problem import Kind

PENALTIES = (10.0, 0.1, 0.3, 1.0, 3.0, 30.0, 100.0, 300.0, 1000.0)  # the first where silos have no rows to choose by
STRENGTHS = (0.1, 0.01, 1.0)


@dataclass(frozen=True)
class FederatedLinear:
    """Ridge or logistic regression over the silos of the problem's silo column, exact: each silo tells Σ x xᵀ and
    Σ x y of its rows once, or the log loss's gradient and curvature at each step of Newton's method, and what solves
    their sums is what the pooled rows give.

    Columns are scaled by what silos have agreed of them; one of more than 100 values, texts that repeat among them, is
    told by the mean answer of each value (target encoding). Silos below their policy's rows take no part, and what has
    fewer rows in a silo than `minimum_count` is not in its sums.

    secure: secure aggregation: the coordinator learns the total of the silos' sums, from the moments of their columns
    on, and no silo's own; three silos or more have to stay in each. Else a silo's sums reach it as they are.
    strength: the ridge's penalty or the logistic regression's C; log_target: learns log y of a target above 0; bends:
    the effect of a number may bend. None: as the silos' rows to stop by choose, which see every candidate at once.
    steps: of Newton's method at most. hosts … round_seconds: as in `FederatedAverage`.
    """

    strength: float | None = None
    log_target: bool | None = None
    bends: bool | None = None
    steps: int = 25
    hosts: int = 2
    quorum: float = 0.5
    round_seconds: float = 600.0
    policy: Policy = USUAL
    audit: str | None = None
    secure: bool = False
    name: str = "federated linear"
    cpus: float = 1.0  # of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "regression"})
    imports: ClassVar[tuple[str, ...]] = ()
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=max(1, self.hosts), apart=self.hosts > 0)

    def fit(self, fold: Fold, context: Context) -> LinearModel:
        """Raises DealError where there are no silos, FederationError when too few of them answer."""
        check_hosts(self.hosts)
        sources = deal(fold, self.policy)
        quorum = Terms.among(sources, self.quorum).quorum
        identities = found(able(sources)) if self.secure else {}
        job = self.job(fold, context.seed)
        audit = Path(self.audit) if self.audit else None
        actors: list[Any] = []
        channel: SigningChannel = Direct(sources, audit, identities, kind=LinearSilo)
        if self.hosts:
            from cluster.connect import connect

            connect()
            channel, actors = start_hosts(
                sources, hosts=self.hosts, folder=audit, cpus=self.cpus, identities=identities, kind=LinearSilo
            )
        try:
            exchange = Exchange(channel, self.round_seconds, context.deadline, job)
            agreement = Agreement(exchange, job, quorum=quorum, units=True)
            exchange.preparation, rows = agreement.reach(channel.registry)
            solving = Solving(exchange, job, exchange.preparation, rows, quorum, channel.registry)
            best = solving.best(self._settings(classified=bool(job.labels), choose=len(fold.valid) > 0))
        finally:
            end_hosts(actors)
        for happening in exchange.happenings:
            context.remark(f"{self.name}: {happening}")
        setting = best.setting
        settled = {"strength": setting.strength, "log_target": setting.logged, "bends": setting.bends}
        return LinearModel(solving.design, best.beta, best.target, len(job.labels), settled)

    def job(self, fold: Fold, seed: int) -> LinearJob:
        """What the silos are asked."""
        texts: dict[ColumnKind, ColumnKind] = {"text": "category"}  # of which the values that repeat are agreed
        columns = tuple((column.name, texts.get(column.kind, column.kind)) for column in fold.schema.columns)
        labels = tuple(str(label) for label in fold.classes)
        return LinearJob(str(fold.problem.target), columns, labels, self.steps if labels else 1, seed, self.secure)

    def settled(self, model: Model) -> "FederatedLinear":
        return replace(self, **model.found) if isinstance(model, LinearModel) else self

    def _settings(self, *, classified: bool, choose: bool) -> list[Setting]:
        """The candidates, the usual one first; without rows to choose by that one alone."""
        usual = STRENGTHS if classified else PENALTIES
        strengths = usual if self.strength is None else (self.strength,)
        logs = (False,) if classified else (False, True) if self.log_target is None else (self.log_target,)
        bends = (False, True) if self.bends is None else (self.bends,)
        every = [Setting(strength, logged, bent) for logged in logs for bent in bends for strength in strengths]
        return every if choose else every[:1]
