"""Rows that stand in for a silo's own: made up inside of it, and attacked there before they may leave."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from framework.contender import Context
from synthetic.copula import Copula
from synthetic.fidelity import leaks
from synthetic.privacy import privacy
from synthetic.sharded import row_keys, shard
from synthetic.space import Space
from synthetic.synthesizer import Synthesizer, seeded

log = logging.getLogger(__name__)

LEAST_OTHERS = 20  # rows that were not learned from, to hold an attack against


@dataclass(frozen=True)
class StandIn:
    """A synthesizer that learns a silo's rows where they are (`federated.shared_rows.Maker`)."""

    synthesizer: Synthesizer = field(default_factory=Copula)

    def make(
        self, table: pd.DataFrame, others: pd.DataFrame, rows: int, context: Context
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """So many rows, none of them equal to one learned from, and what may be told: engine, licence, leaks. With
        differential privacy copies are not told apart and nothing is attacked, and epsilon is told.

        others: rows that are not learned from; the attacks are held against them. Where they are too few for that, some
        of the table join them. Raises SamplingError where most rows are copies, and what `Synthesizer.fit` does.
        """
        if (short := LEAST_OTHERS - len(others)) > 0:
            order = seeded(context.seed, 31).permutation(len(table))
            others = pd.concat([others, table.iloc[order[:short]]], ignore_index=True)
            table = table.iloc[np.sort(order[short:])].reset_index(drop=True)
        fitted = self.synthesizer.fit(table, (), context)
        if "epsilon" in fitted.facts:  # which rows are copies, and what attacks find, would tell of rows beyond it
            told = {"engine": self.synthesizer.name, "licence": self.synthesizer.licence, "leaks": 0}
            return fitted.sample(rows, seed=context.seed), {**told, "epsilon": fitted.facts["epsilon"]}
        keys = np.unique(row_keys(table))
        made = shard(fitted, 0, rows, seed=context.seed, conditions={}, keys=keys)[0]
        space = Space.learn(pd.concat([table, others], ignore_index=True))
        found = leaks(privacy(space, table, others, made, fitted=fitted, seed=context.seed))
        for each in found:
            log.warning("made-up rows leak: %s", each)
        return made, {"engine": self.synthesizer.name, "licence": self.synthesizer.licence, "leaks": len(found)}
