"""A net for tables, trained where the rows are: silos learn, a coordinator averages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from cluster.resources import Resources
from federated.channel import Direct, end_hosts, start_hosts
from federated.coordinator_actor import CoordinatorActor
from federated.dealt import able, check_hosts, deal, silo_column
from federated.job import Job, LocalPlan, Optimizer
from federated.policy import USUAL, Policy
from federated.privacy.levels import Privacy, SiloLevel
from federated.privacy.promise import Promise, few_silos, hidden, kept_by
from federated.rounds import Coordinator, Outcome, Terms
from federated.secure_aggregation.identity import Identity, found
from federated.silo_model import SiloModel
from federated.strategies import Strategy, training_of
from federated.strategies.averaged import Averaged
from federated.strategies.fedadam import FedAdam
from federated.strategies.finetuned import FineTuned
from federated.whereabouts import Whereabouts
from framework.contender import Context, Model
from framework.data.column import ColumnKind
from framework.data.frame import Fold
from framework.problem import Kind

# Chosen on development tables; benchmarks/README.md tells which, and beside what.
DEFAULT: Strategy = FineTuned(Averaged(FedAdam()))
POLL_SECONDS = 0.5
COORDINATOR_RESTARTS = 3
Value = str | int | float
Shape = tuple[tuple[str, Value], ...]
SHAPES: dict[str, Shape] = {  # smaller than the framework's own: a silo has few rows, and all of it travels each round
    "mlp": (("size", 16), ("width", 128), ("layers", 2), ("dropout", 0.1)),
    "tabm": (("width", 128), ("layers", 2), ("dropout", 0.1)),
    "ft_transformer": (("width", 32), ("blocks", 2), ("heads", 4)),
}


@dataclass(frozen=True)
class FederatedAverage:
    """Trains a net of `framework.nets` over the silos of the problem's silo column, round by round.

    A simulation: the fold's rows are dealt into silos, each guarded by an actor that tells updates and no rows. The
    silos share one cluster, so the boundary is logical and audited; it is no protection from who runs the cluster.
    What a net learns of the columns is agreed by the silos. Texts are left out: no silo tells its words.

    shape: of the net, as pairs; None: as `SHAPES` has it. rounds, patience: at most, and without gain on the silos' own
    validation rows.
    secure: secure aggregation: the coordinator learns sums of statistics, updates and scores, no silo's own; three or
    more have to stay in a round. Weights fitted to single silos stay with them then, and all are answered by the common
    ones. Strategies that look at single updates are refused.
    privacy: differential privacy of the silos' rows (`RecordLevel`) or of silos as a whole (`SiloLevel`); no validation
    rows are looked at then, and all rounds are made that it allows. Its noise is a secret: no two fits are alike.
    epochs … clip: of a silo between two exchanges, see `LocalPlan`; None: as the strategy has it, which with privacy is
    what `LocalPlan` has. hosts: actors that own the silos; 0: the fit's own
    process does. quorum: the share of the silos with rows enough that must answer a round; round_seconds: when it ends
    without the others. audit: a folder where each silo writes what left it; none by default.
    """

    net: Literal["mlp", "tabm", "ft_transformer"] = "mlp"
    shape: Shape | None = None
    strategy: Strategy = DEFAULT
    rounds: int = 200
    patience: int = 30
    epochs: int | None = None
    batch: int | None = None
    rate: float | None = None
    weight_decay: float | None = None
    optimizer: Optimizer | None = None
    clip: float | None = None
    keep: bool = False
    hosts: int = 2
    quorum: float = 0.5
    round_seconds: float = 600.0
    policy: Policy = USUAL
    audit: str | None = None
    secure: bool = False
    privacy: Privacy | None = None
    name: str = "federated"
    cpus: float = 1.0  # of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("torch", "federated.bench")
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=max(1, self.hosts), apart=self.hosts > 0)

    def fit(self, fold: Fold, context: Context) -> SiloModel:
        """Raises DealError where there are no silos, FederationError when too few of them take part."""
        check_hosts(self.hosts)
        sources = deal(fold, self.policy)
        taking = able(sources)
        job = self.job(fold, context.seed, silos=len(taking))
        identities = found(taking) if self.secure else {}
        patience = self.patience if len(fold.valid) else 0
        limits = {"round_seconds": self.round_seconds, "deadline": context.deadline}
        terms = Terms.among(sources, self.quorum, patience=patience, **limits)
        with _folder(context) as folder:
            if self.hosts:
                outcome = self._on_ray(sources, identities, job, terms, folder, context)
            else:
                audit = Path(self.audit) if self.audit else None
                outcome = Coordinator(Direct(sources, audit, identities), job, terms, folder).run()
                _report(context, outcome.scores)
        if self.secure and self.strategy.personalises:
            context.remark(f"{self.name}: weights fitted to single silos stay with them (secure)")
        for happening in outcome.happenings:
            context.remark(f"{self.name}: {happening}")
        promise = self._promise(job, outcome, context)
        return SiloModel(
            outcome.preparation.encoder,
            outcome.preparation.quantiles,
            job.net,
            dict(job.shape),
            silo_column(fold),
            outcome.weights,
            outcome.parts,
            outcome.members,
            outcome.rounds,
            promise.to_facts() if promise else None,
            outcome.tuned,
        )

    def job(self, fold: Fold, seed: int, *, silos: int = 0) -> Job:
        """What the silos are asked. silos: how many have rows enough.

        Raises JobError, StrategyError or PrivacyError for settings that contradict one another.
        """
        columns = tuple((column.name, column.kind) for column in fold.schema.columns if column.kind != "text")
        labels = tuple(str(label) for label in fold.classes)
        return self.job_of(str(fold.problem.target), fold.problem.metric, columns, labels, seed, silos=silos)

    def job_of(
        self,
        target: str,
        metric: str,
        columns: tuple[tuple[str, ColumnKind], ...],
        labels: tuple[str, ...],
        seed: int,
        *,
        silos: int = 0,
    ) -> Job:
        """The same where no fold is at hand. columns: the features' names and kinds; labels: none for a quantity."""
        strategy, rounds = self.strategy, self.rounds
        if isinstance(self.privacy, SiloLevel):
            strategy, rounds = hidden(self.strategy, self.privacy, silos=silos, rounds=self.rounds)
        names = ("epochs", "batch", "rate", "weight_decay", "optimizer", "clip")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        usual = {} if self.privacy is not None else training_of(self.strategy, classes=bool(labels))
        plan = LocalPlan(**{**usual, **given}, keep=self.keep)
        return Job(
            target,
            metric,
            columns,
            labels,
            strategy,
            self.net,
            dict(SHAPES[self.net] if self.shape is None else self.shape),
            plan,
            rounds,
            seed,
            self.secure,
            self.privacy,
        )

    def settled(self, model: Model) -> "FederatedAverage":
        if not isinstance(model, SiloModel):
            return self
        strategy = self.strategy
        if isinstance(strategy, FineTuned) and self.privacy is None:
            strategy = replace(strategy, settled=tuple(sorted(model.tuned.items())))
        return replace(self, strategy=strategy, rounds=max(1, model.rounds), patience=0)

    def _promise(self, job: Job, outcome: Outcome, context: Context) -> Promise | None:
        """What the fit can say of its privacy, which is remarked too."""
        if self.privacy is None:
            return None
        promise = kept_by(job, outcome.rows, outcome.rounds, Path(self.audit) if self.audit else None)
        if outcome.rounds < self.rounds:
            context.remark(f"{self.name}: it made {outcome.rounds} of {self.rounds} rounds")
        if isinstance(self.privacy, SiloLevel) and (few := few_silos(job)):
            context.remark(f"{self.name}: {few}")
        context.remark(f"{self.name}: {promise}")
        return promise

    def _on_ray(
        self,
        sources: list[Any],
        identities: dict[str, Identity],
        job: Job,
        terms: Terms,
        folder: Path,
        context: Context,
    ) -> Outcome:
        import ray

        from cluster.connect import connect

        connect()
        audit = Path(self.audit) if self.audit else folder / "silos"
        channel, actors = start_hosts(
            sources,
            hosts=self.hosts,
            folder=audit,
            cpus=self.cpus,
            threads=max(1, int(self.cpus)),
            identities=identities,
        )
        where = Whereabouts(channel)
        # Restarted, it goes on from its checkpoint, which is on this node: Ray asks it to run once more.
        here: dict[str, Any] = {"label_selector": {"ray.io/node-id": ray.get_runtime_context().get_node_id()}}
        options = {"num_cpus": 0, "max_concurrency": 2, "max_restarts": COORDINATOR_RESTARTS, **here}
        coordinator = ray.remote(CoordinatorActor).options(**options, max_task_retries=COORDINATOR_RESTARTS).remote()
        try:
            running = coordinator.run.remote(channel, job, terms, folder)
            told = 0
            while not ray.wait([running], timeout=POLL_SECONDS)[0]:
                told = _listen(coordinator, context, told)
            outcome: Outcome = ray.get(running)
            _report(context, outcome.scores[told:], first=told)
            for lost in where.lost():
                context.remark(f"{self.name}: {lost}")
            return outcome
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        finally:
            end_hosts([*actors, coordinator])


def _listen(coordinator: Any, context: Context, told: int) -> int:
    """Reports the rounds since the last time. Returns how many have been reported."""
    import ray

    try:
        scores: list[float] = ray.get(coordinator.progress.remote(), timeout=POLL_SECONDS)
    except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError):
        return told  # a busy or lost coordinator costs the live view, not the fit
    _report(context, scores[told:], first=told)
    return max(told, len(scores))


def _report(context: Context, scores: list[float], *, first: int = 0) -> None:
    for number, score in enumerate(scores, first):
        context.report(number, valid_loss=score)


@contextmanager
def _folder(context: Context) -> Iterator[Path]:
    """Where checkpoints lie: where every node of the cluster reaches them, if such a place was given; else in a folder
    that is gone with the fit."""
    given = context.checkpoints
    if given is not None and "://" not in given:
        yield Path(given) / "federation"
        return
    with TemporaryDirectory(prefix="federation-", dir=context.folder, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
