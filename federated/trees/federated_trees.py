"""Boosted trees that silos grow together: each tells the sums of gradients over its rows, and keeps the rows."""

from dataclasses import dataclass, replace
from pathlib import Path

from federated.dealt import able, deal
from federated.secure_aggregation.identity import found
from federated.trees.grown import Grown
from federated.trees.growth import Growth
from federated.trees.job import TreeJob
from federated.trees.model import WithoutTexts, asked_as
from federated.trees.reach import reached
from federated.trees.silo_trees import SiloTrees
from framework.contender import Context, Model
from framework.contenders.native import Native
from framework.contenders.xgboost import XGBoost, XGBoostModel, open_booster
from framework.data.frame import Fold


@dataclass(frozen=True)
class FederatedTrees(SiloTrees):
    """XGBoost over the silos of the problem's silo column, by XGBoost's own federated plugin.

    A simulation, as `FederatedAverage` is. Silos agree on categories and bins first, then grow the same trees: for each
    node they add up, at a tracker, sums of gradients over their rows by bin. What the tracker sees of a silo is not
    masked, unless `secure`: for a node that one row of the silo falls into, the sums are that row's gradient, and tell
    its bins. `min_child_weight` bounds the leaves of all silos together, not one silo's part of them; every connection
    is mTLS.
    The model is an ordinary booster: it is explained, kept and served as `XGBoost`'s is. Texts are left out.

    patience: by the validation rows' scores summed over silos. session: trees between two checkpoints; a lost silo
    costs as many at most. All other fields: as in `SiloTrees`.
    """

    session: int = 25
    name: str = "federated trees"

    def fit(self, fold: Fold, context: Context) -> Model:
        """Raises DealError where there are no silos, FederationError when too few of them take part, OutOfTimeError
        when the deadline leaves no time for a session."""
        job = self.job(fold, context.seed)
        sources = deal(fold, self.policy)
        terms = self.terms(sources, fold, context)
        if self.hosts:
            from cluster.connect import connect

            connect()
        audit = Path(self.audit) if self.audit else None
        identities = found(able(sources)) if self.secure else {}
        kept = context.checkpoints
        folder = Path(kept) / "trees" if kept is not None and "://" not in kept else None

        def report(number: int, score: float) -> None:
            context.report(number, **{f"valid_{job.plan.metric}": score})

        with reached(sources, audit, hosts=self.hosts, cpus=self.cpus, identities=identities) as (silos, tracker):
            grown = Growth(silos, tracker, job, terms, trees=self.session, folder=folder).run(report)
        for happening in grown.happenings:
            context.remark(f"{self.name}: {happening}")
        return asked_as(list(fold.train.X.columns), model_of(grown, self), [name for name, _ in job.columns])

    def job(self, fold: Fold, seed: int) -> TreeJob:
        """What the silos are asked. Raises JobError for settings that no tree can grow by."""
        return self.asked(fold, "Histograms", patience=0, seed=seed)

    def alike(self, name: str) -> XGBoost:
        """The same trees for rows of one place: to be held against these."""
        settings = ("rounds", "learning_rate", "depth", "min_child_weight", "subsample", "columns", "l2", "patience")
        return XGBoost(name=name, **{each: getattr(self, each) for each in settings}, engine={"max_bin": self.bins})

    def settled(self, model: Model) -> "FederatedTrees":
        model = model.model if isinstance(model, WithoutTexts) else model
        return replace(self, rounds=model.found["rounds"], patience=0) if isinstance(model, XGBoostModel) else self


def model_of(grown: Grown, made: FederatedTrees) -> XGBoostModel:
    """The booster, cut to its best round."""
    booster = open_booster(grown.booster)
    if grown.best < booster.num_boosted_rounds():
        booster = open_booster(bytes(booster[: grown.best].save_raw("ubj")))
    found = {"rounds": grown.best, "learning_rate": made.learning_rate, "depth": made.depth}
    schema = grown.preparation.schema
    return XGBoostModel(Native(schema), booster, len(schema.classes), found)
