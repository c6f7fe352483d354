"""What all federations of trees are asked for: how trees grow, and by which terms silos take part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cluster.resources import Resources
from federated.dealt import check_hosts
from federated.policy import USUAL, Policy
from federated.rounds import Terms
from federated.source import Held
from federated.trees.job import SUMMED, TreeJob, TreePlan, Way
from framework.contender import Context
from framework.contenders.xgboost import question
from framework.data.frame import Fold
from framework.problem import Kind


@dataclass(frozen=True)
class SiloTrees:
    """rounds, patience: trees at most, and without gain on the silos' own validation rows; with classes each round is a
    tree a class. bins: of a column.

    hosts: actors that own the silos; 0: the fit's own process does. quorum: the share of the silos with rows enough
    that must take part; round_seconds: when a question ends that a silo is late in. audit: a folder where each silo
    writes what left it by message; none by default.
    secure: silos tell sums over their rows under masks alone, statistics beforehand too; three silos or more, and more
    than half of those with rows enough, must take part in every session.
    """

    rounds: int = 1000
    learning_rate: float = 0.05
    depth: int = 4
    min_child_weight: float = 5.0
    subsample: float = 0.8
    columns: float = 0.5  # share of columns that a tree sees
    l2: float = 1.0
    bins: int = 256
    patience: int = 50
    hosts: int = 2
    quorum: float = 0.5
    round_seconds: float = 600.0
    policy: Policy = USUAL
    audit: str | None = None
    cpus: float = 1.0  # of each host
    secure: bool = False
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("federated.trees.bench",)
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=max(1, self.hosts), apart=self.hosts > 0)

    def terms(self, sources: Sequence[Held], fold: Fold, context: Context) -> Terms:
        """By which these silos take part. Raises DealError for hosts that cannot hold them."""
        check_hosts(self.hosts)
        patience = self.patience if len(fold.valid) else 0
        limits = {"round_seconds": self.round_seconds, "deadline": context.deadline}
        return Terms.among(sources, self.quorum, patience=patience, **limits)

    def asked(self, fold: Fold, way: Way, *, patience: int, seed: int) -> TreeJob:
        """What the silos are asked. A metric that is no sum over rows is stopped by the log loss, or the squared error.

        Raises JobError for settings that no tree can grow by.
        """
        settings = ("learning_rate", "depth", "min_child_weight", "subsample", "columns", "l2", "bins")
        given: dict[str, Any] = {name: getattr(self, name) for name in settings}
        classes = tuple(str(label) for label in fold.classes)
        told = question(fold.problem, len(classes))
        usual = "rmse" if not classes else "logloss" if len(classes) == 2 else "mlogloss"
        metric = told["eval_metric"] if told["eval_metric"] in SUMMED else usual
        plan = TreePlan(told["objective"], metric, told.get("quantile_alpha"), **given)
        columns = tuple((column.name, column.kind) for column in fold.schema.columns if column.kind != "text")
        return TreeJob(str(fold.problem.target), columns, classes, way, plan, self.rounds, patience, seed, self.secure)
