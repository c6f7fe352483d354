"""Boosted trees that silos grow together: each tells the sums of gradients over its rows, and keeps the rows."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from cluster.resources import Resources
from federated.dealt import deal
from federated.policy import USUAL, Policy
from federated.rounds import Terms
from federated.trees.growth import Grown, Growth
from federated.trees.job import SUMMED, TreeJob, TreePlan, Way
from federated.trees.model import WithoutTexts, asked_as
from federated.trees.reach import reached
from framework.contender import Context, Model
from framework.contenders.native import Native
from framework.contenders.xgboost import XGBoost, XGBoostModel, open_booster, question
from framework.data.frame import Fold
from framework.problem import Kind


@dataclass(frozen=True)
class FederatedTrees:
    """XGBoost over the silos of the problem's silo column, by XGBoost's own federated plugin.

    A simulation, as `FederatedAverage` is. Silos agree on categories and bins first, then grow the same trees: for each
    node they add up, at a tracker, sums of gradients over their rows by bin. What the tracker sees of a silo is not
    masked: for a node that one row of the silo falls into, the sums are that row's gradient, and tell its bins.
    `min_child_weight` bounds the leaves of all silos together, not one silo's part of them; every connection is mTLS.
    The model is an ordinary booster: it is explained, kept and served as `XGBoost`'s is. Texts are left out.

    rounds, patience: trees at most, and without gain on the silos' own validation rows, summed over silos; with classes
    each round is a tree a class. bins: of a column. session: trees between two checkpoints; a lost silo costs as many
    at most. hosts: actors that own the silos; 0: the fit's own process does. quorum: the share of the silos with rows
    enough that must take part; round_seconds: when a session ends that a silo is late in. audit: a folder where each
    silo writes what left it by message; none by default.
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
    session: int = 25
    hosts: int = 2
    quorum: float = 0.5
    round_seconds: float = 600.0
    policy: Policy = USUAL
    audit: str | None = None
    name: str = "federated trees"
    cpus: float = 1.0  # of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("federated.trees.bench",)
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=max(1, self.hosts), apart=self.hosts > 0)

    def fit(self, fold: Fold, context: Context) -> Model:
        """Raises DealError where there are no silos, FederationError when too few of them take part, OutOfTimeError
        when the deadline leaves no time for a session."""
        job = self.job(fold, context.seed)
        sources = deal(fold, self.policy)
        able = sum(len(source.train) >= self.policy.minimum_rows for source in sources)
        patience = self.patience if len(fold.valid) else 0
        terms = Terms(max(2, round(self.quorum * able)), self.round_seconds, context.deadline, patience)
        if self.hosts:
            from cluster.connect import connect

            connect()
        audit = Path(self.audit) if self.audit else None
        kept = context.checkpoints
        folder = Path(kept) / "trees" if kept is not None and "://" not in kept else None

        def report(number: int, score: float) -> None:
            context.report(number, **{f"valid_{job.plan.metric}": score})

        with reached(sources, audit, hosts=self.hosts, cpus=self.cpus) as (silos, tracker):
            grown = Growth(silos, tracker, job, terms, trees=self.session, folder=folder).run(report)
        for happening in grown.happenings:
            context.remark(f"{self.name}: {happening}")
        return asked_as(fold.schema.names, model_of(grown, self), [name for name, _ in job.columns])

    def job(self, fold: Fold, seed: int) -> TreeJob:
        """What the silos are asked. Raises JobError for settings that no tree can grow by."""
        settings = ("learning_rate", "depth", "min_child_weight", "subsample", "columns", "l2", "bins")
        asked = {name: getattr(self, name) for name in settings}
        return job_of(fold, "Histograms", asked, rounds=self.rounds, patience=0, seed=seed)

    def alike(self, name: str) -> XGBoost:
        """The same trees for rows of one place: to be held against these."""
        settings = ("rounds", "learning_rate", "depth", "min_child_weight", "subsample", "columns", "l2", "patience")
        return XGBoost(name=name, **{each: getattr(self, each) for each in settings}, engine={"max_bin": self.bins})

    def settled(self, model: Model) -> "FederatedTrees":
        model = model.model if isinstance(model, WithoutTexts) else model
        return replace(self, rounds=model.found["rounds"], patience=0) if isinstance(model, XGBoostModel) else self


def job_of(fold: Fold, way: Way, asked: dict[str, Any], *, rounds: int, patience: int, seed: int) -> TreeJob:
    """A fold's question, as silos are asked it. asked: settings of `TreePlan`.

    A metric that is no sum over rows is stopped by the log loss, or the squared error.
    """
    classes = tuple(str(label) for label in fold.classes)
    told = question(fold.problem, len(classes))
    usual = "rmse" if not classes else "logloss" if len(classes) == 2 else "mlogloss"
    metric = told["eval_metric"] if told["eval_metric"] in SUMMED else usual
    plan = TreePlan(told["objective"], metric, told.get("quantile_alpha"), **asked)
    columns = tuple((column.name, column.kind) for column in fold.schema.columns if column.kind != "text")
    return TreeJob(str(fold.problem.target), columns, classes, way, plan, rounds, patience, seed)


def model_of(grown: Grown, made: FederatedTrees) -> XGBoostModel:
    """The booster, cut to its best round."""
    booster = open_booster(grown.booster)
    if grown.best < booster.num_boosted_rounds():
        booster = open_booster(bytes(booster[: grown.best].save_raw("ubj")))
    found = {"rounds": grown.best, "learning_rate": made.learning_rate, "depth": made.depth}
    schema = grown.preparation.schema
    return XGBoostModel(Native(schema), booster, len(schema.classes), found)
