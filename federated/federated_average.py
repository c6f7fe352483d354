"""A net for tables, trained where the rows are: silos learn, a coordinator averages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from cluster.resources import Resources
from federated.channel import Direct, end_hosts, start_hosts
from federated.dealt import deal, silo_column
from federated.job import Job, LocalPlan, Optimizer
from federated.policy import USUAL, Policy
from federated.rounds import Coordinator, CoordinatorActor, Outcome, Terms
from federated.silo_model import SiloModel
from federated.strategies import Strategy
from federated.strategies.fedadam import FedAdam
from federated.strategies.finetuned import FineTuned
from framework.contender import Context, Model
from framework.data.frame import Fold
from framework.problem import Kind

DEFAULT: Strategy = FineTuned(FedAdam())
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
    epochs … clip: of a silo between two exchanges, see `LocalPlan`. hosts: actors that own the silos; 0: the fit's own
    process does. quorum: the share of the silos with rows enough that must answer a round; round_seconds: when it ends
    without the others. audit: a folder where each silo writes what left it; none by default.
    """

    net: Literal["mlp", "tabm", "ft_transformer"] = "mlp"
    shape: Shape | None = None
    strategy: Strategy = DEFAULT
    rounds: int = 60
    patience: int = 15
    epochs: int = 2
    batch: int = 32
    rate: float = 0.002
    weight_decay: float = 0.01
    optimizer: Optimizer = "adamw"
    clip: float = 1.0
    keep: bool = False
    hosts: int = 2
    quorum: float = 0.5
    round_seconds: float = 600.0
    policy: Policy = USUAL
    audit: str | None = None
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
        job = self.job(fold, context.seed)
        sources = deal(fold, self.policy)
        able = sum(len(source.train) >= self.policy.minimum_rows for source in sources)
        quorum = max(2, round(self.quorum * able))
        patience = self.patience if len(fold.valid) else 0
        terms = Terms(quorum, self.round_seconds, context.deadline, patience)
        with _folder(context) as folder:
            if self.hosts:
                outcome = self._on_ray(sources, job, terms, folder, context)
            else:
                audit = Path(self.audit) if self.audit else None
                outcome = Coordinator(Direct(sources, audit), job, terms, folder).run()
                _report(context, outcome.scores)
        for happening in outcome.happenings:
            context.remark(f"{self.name}: {happening}")
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
        )

    def job(self, fold: Fold, seed: int) -> Job:
        """What the silos are asked. Raises JobError or StrategyError for settings that contradict one another."""
        columns = tuple((column.name, column.kind) for column in fold.schema.columns if column.kind != "text")
        plan = LocalPlan(self.epochs, self.batch, self.rate, self.weight_decay, self.optimizer, self.clip, self.keep)
        return Job(
            str(fold.problem.target),
            fold.problem.metric,
            columns,
            tuple(str(label) for label in fold.classes),
            self.strategy,
            self.net,
            dict(SHAPES[self.net] if self.shape is None else self.shape),
            plan,
            self.rounds,
            seed,
        )

    def settled(self, model: Model) -> "FederatedAverage":
        if not isinstance(model, SiloModel):
            return self
        return replace(self, rounds=max(1, model.rounds), patience=0)

    def _on_ray(self, sources: list[Any], job: Job, terms: Terms, folder: Path, context: Context) -> Outcome:
        import ray

        from cluster.connect import connect

        connect()
        audit = Path(self.audit) if self.audit else folder / "silos"
        channel, actors = start_hosts(
            sources, hosts=self.hosts, folder=audit, cpus=self.cpus, threads=max(1, int(self.cpus))
        )
        # Restarted, it goes on from its checkpoint: Ray asks it to run once more.
        options = {"num_cpus": 0, "max_concurrency": 2, "max_restarts": COORDINATOR_RESTARTS}
        coordinator = ray.remote(CoordinatorActor).options(**options, max_task_retries=COORDINATOR_RESTARTS).remote()
        try:
            running = coordinator.run.remote(channel, job, terms, folder)
            told = 0
            while not ray.wait([running], timeout=POLL_SECONDS)[0]:
                told = _listen(coordinator, context, told)
            outcome: Outcome = ray.get(running)
            _report(context, outcome.scores[told:], first=told)
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
