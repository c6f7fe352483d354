"""Where a silo's trees grow: its rows on the agreed bins, one session with the others, or trees of its own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from federated.preparation import Preparation
from federated.trees.job import TreeJob
from framework.contender import Context
from framework.contenders.boosting import Plan
from framework.contenders.boosting_crew import Alone
from framework.contenders.native import Native
from framework.contenders.xgboost_rounds import FAR, quantised, rounds, types
from framework.data.frame import Frame


@dataclass
class TreeBench:
    """stopping: rows to stop by; with fewer than `least` the silo has no say in when to stop."""

    job: TreeJob
    preparation: Preparation
    train: Frame = field(repr=False)
    stopping: Frame = field(repr=False)
    least: int

    @property
    def width(self) -> int:
        """Columns as trees see them."""
        return self._plan.native.width

    @property
    def watches(self) -> bool:
        """Whether it has a say in when to stop."""
        return len(self.stopping) >= max(1, self.least)

    def grow(
        self, booster: bytes, first: int, trees: int, meeting: Mapping[str, Any], *, watched: bool
    ) -> tuple[bytes, list[float]]:
        """The booster with `trees` rounds more, and its score after each of them: all silos' rows to stop by, summed.

        booster: what has grown until now, empty for nothing. meeting: how the tracker is reached. watched: some silo
        has rows to stop by; else there are no scores. Raises XGBoostError where another silo or the tracker is lost.
        """
        rows, parameters = self._rows, dict(self._plan.engine)
        stopping = [self._watched] if watched else []
        scores = []
        with xgboost.config_context(verbosity=0), xgboost.collective.CommunicatorContext(**meeting):
            grown = xgboost.Booster(parameters, [rows, *stopping])
            if booster:
                grown.load_model(bytearray(booster))
                grown.set_param(parameters)
            for round_ in range(first, first + trees):
                grown.update(rows, round_)
                for each in stopping:
                    scores.append(float(grown.eval_set([(each, "valid")], round_).rpartition(":")[2]))
            raw = bytes(grown.save_raw("ubj"))
        return raw, scores

    def alone(self, folder: Path) -> tuple[bytes, int]:
        """A booster of this silo's rows and no others, cut to its best round; its rounds."""
        raw, found = rounds(self.train, self.train, self.stopping, self._plan, Alone(Context()), folder=folder)
        return raw, int(found["rounds"])

    @cached_property
    def _plan(self) -> Plan:
        engine = self.job.plan.engine(len(self.job.labels), self.job.seed)
        native, rate = Native(self.preparation.schema), self.job.plan.learning_rate
        return Plan(native, engine, self.job.rounds, self.job.patience, rate)

    @cached_property
    def _rows(self) -> Any:
        return quantised(self.train, self._plan, Alone(Context()), ref=agreed_bins(self.preparation, self._plan))

    @cached_property
    def _watched(self) -> Any:
        """Where they are too few: a row that counts nothing, since every silo must take part in the sum."""
        told = self.stopping
        if not self.watches:
            one = self.train.take(np.array([0]))
            told = replace(one, truth=replace(one.truth, weight=np.zeros(1)))
        return quantised(told, self._plan, Alone(Context()), ref=self._rows)


def agreed_bins(preparation: Preparation, plan: Plan) -> Any:
    """The bins of all silos' rows, of the quantiles that they agreed on: no silo tells a sketch of its columns."""
    coded = np.array(plan.native.categorical, dtype=bool)
    last = [len(column.categories) - 1.0 for column, width in plan.native.widths for _ in range(width)]
    table = np.where(coded, np.nan, preparation.quantiles.astype(np.float64))
    low, high = np.where(coded, np.nan, -FAR), np.where(coded, np.nan, FAR)
    codes = np.where(coded & (np.array(last) >= 0), last, np.nan)
    return xgboost.QuantileDMatrix(
        np.vstack([table, low, high, codes]),
        feature_types=types(plan),
        max_bin=plan.engine["max_bin"],
        nthread=1,
        enable_categorical=bool(coded.any()),
    )


def digest(booster: bytes) -> str:
    return hashlib.sha256(booster).hexdigest()
