"""Boosted trees that each silo grows alone, and all answer together: one message there and one back."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from federated.agreement import Agreement
from federated.dealt import deal
from federated.exchange import Exchange
from federated.message import Message
from federated.trees.job import TreeJob
from federated.trees.model import BagOfTrees, WithoutTexts, asked_as
from federated.trees.reach import reached
from federated.trees.silo_trees import SiloTrees
from framework.contender import Context, Model
from framework.contenders.native import Native
from framework.contenders.xgboost import open_booster
from framework.data.frame import Fold


@dataclass(frozen=True)
class BaggedTrees(SiloTrees):
    """XGBoost in every silo of the problem's silo column, on its own rows and validation rows; the answer is the mean
    of theirs, each counted by its rows.

    It asks less of the silos than `FederatedTrees`, which is better wherever silos differ: no silo waits for another,
    and one that is lost is done without. Each silo's whole booster leaves it: `Policy(personal=False)` forbids that.
    Its leaves stand for `min_child_weight` rows or more of that silo. Fields: as in `SiloTrees`.
    """

    name: str = "bagged trees"

    def fit(self, fold: Fold, context: Context) -> Model:
        """Raises DealError where there are no silos, FederationError when too few of them answer."""
        job = self.job(fold, context.seed)
        sources = deal(fold, self.policy)
        terms = self.terms(sources, fold, context)
        if self.hosts:
            from cluster.connect import connect

            connect()
        audit = Path(self.audit) if self.audit else None
        with reached(sources, audit, hosts=self.hosts, cpus=self.cpus, tracked=False) as (silos, _):
            exchange = Exchange(silos, terms.round_seconds, terms.deadline, job)
            exchange.preparation, rows = Agreement(exchange, job, quorum=terms.quorum, units=True).reach()
            told = exchange.ask(Message("bag", round=1), list(rows), expected="bagged")
            exchange.check_quorum(len(told), terms.quorum, 1)
        for happening in exchange.happenings:
            context.remark(f"{self.name}: {happening}")
        bagged = [told[silo] for silo in sorted(told)]
        boosters = [open_booster(each.groups["booster"]["ubj"].tobytes()) for each in bagged]
        counts, rounds = [int(each.facts["rows"]) for each in bagged], [int(each.facts["rounds"]) for each in bagged]
        schema = exchange.preparation.schema
        model = BagOfTrees(Native(schema), boosters, counts, rounds, len(schema.classes))
        return asked_as(list(fold.train.X.columns), model, schema.names)

    def job(self, fold: Fold, seed: int) -> TreeJob:
        """What the silos are asked. Raises JobError for settings that no tree can grow by."""
        patience = self.patience if len(fold.valid) else 0
        return self.asked(fold, "Bagging", patience=patience, seed=seed)

    def settled(self, model: Model) -> "BaggedTrees":
        """With the silos' mean number of rounds, each counted by its rows."""
        model = model.model if isinstance(model, WithoutTexts) else model
        if not isinstance(model, BagOfTrees):
            return self
        return replace(self, rounds=max(1, round(float(np.average(model.rounds, weights=model.rows)))), patience=0)
