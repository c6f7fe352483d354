"""Boosted trees that each silo grows alone, and all answer together: one message there and one back."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from cluster.resources import Resources
from federated.agreement import Agreement
from federated.dealt import deal
from federated.exchange import Exchange
from federated.message import Message
from federated.policy import USUAL, Policy
from federated.trees.federated_trees import job_of
from federated.trees.job import TreeJob
from federated.trees.model import BagOfTrees, WithoutTexts, asked_as
from federated.trees.reach import reached
from framework.contender import Context, Model
from framework.contenders.native import Native
from framework.contenders.xgboost import open_booster
from framework.data.frame import Fold
from framework.problem import Kind


@dataclass(frozen=True)
class BaggedTrees:
    """XGBoost in every silo of the problem's silo column, on its own rows and validation rows; the answer is the mean
    of theirs, each counted by its rows.

    It asks less of the silos than `FederatedTrees`, which is better wherever silos differ: no silo waits for another,
    and one that is lost is done without. Each silo's whole booster leaves it: `Policy(personal=False)` forbids that.
    Its leaves stand for `min_child_weight` rows or more of that silo. Other fields: as in `FederatedTrees`.
    """

    rounds: int = 1000
    learning_rate: float = 0.05
    depth: int = 4
    min_child_weight: float = 5.0
    subsample: float = 0.8
    columns: float = 0.5
    l2: float = 1.0
    bins: int = 256
    patience: int = 50
    hosts: int = 2
    quorum: float = 0.5
    round_seconds: float = 600.0
    policy: Policy = USUAL
    audit: str | None = None
    name: str = "bagged trees"
    cpus: float = 1.0  # of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("federated.trees.bench",)
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=max(1, self.hosts), apart=self.hosts > 0)

    def fit(self, fold: Fold, context: Context) -> Model:
        """Raises DealError where there are no silos, FederationError when too few of them answer."""
        job = self.job(fold, context.seed)
        sources = deal(fold, self.policy)
        able = sum(len(source.train) >= self.policy.minimum_rows for source in sources)
        quorum = max(2, round(self.quorum * able))
        if self.hosts:
            from cluster.connect import connect

            connect()
        audit = Path(self.audit) if self.audit else None
        with reached(sources, audit, hosts=self.hosts, cpus=self.cpus, tracked=False) as (silos, _):
            exchange = Exchange(silos, self.round_seconds, context.deadline, job)
            exchange.preparation, rows = Agreement(exchange, job, quorum=quorum, units=True).reach()
            told = exchange.ask(Message("bag", round=1), list(rows), expected="bagged")
            exchange.check_quorum(len(told), quorum, 1)
        for happening in exchange.happenings:
            context.remark(f"{self.name}: {happening}")
        bagged = [told[silo] for silo in sorted(told)]
        boosters = [open_booster(each.groups["booster"]["ubj"].tobytes()) for each in bagged]
        counts, rounds = [int(each.facts["rows"]) for each in bagged], [int(each.facts["rounds"]) for each in bagged]
        schema = exchange.preparation.schema
        model = BagOfTrees(Native(schema), boosters, counts, rounds, len(schema.classes))
        return asked_as(fold.schema.names, model, schema.names)

    def job(self, fold: Fold, seed: int) -> TreeJob:
        """What the silos are asked. Raises JobError for settings that no tree can grow by."""
        settings = ("learning_rate", "depth", "min_child_weight", "subsample", "columns", "l2", "bins")
        asked = {name: getattr(self, name) for name in settings}
        patience = self.patience if len(fold.valid) else 0
        return job_of(fold, "Bagging", asked, rounds=self.rounds, patience=patience, seed=seed)

    def settled(self, model: Model) -> "BaggedTrees":
        """With the silos' mean number of rounds, each counted by its rows."""
        model = model.model if isinstance(model, WithoutTexts) else model
        if not isinstance(model, BagOfTrees):
            return self
        return replace(self, rounds=max(1, round(float(np.average(model.rounds, weights=model.rows)))), patience=0)
