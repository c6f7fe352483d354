"""The silos' sums for a Cox model, asked so that the coordinator learns their total alone."""

from collections.abc import Mapping

import numpy as np

from cluster.wire import Arrays
from federated.exchange import Exchange
from federated.message import Message
from federated.secure_aggregation.identity import Registry
from federated.secure_aggregation.secure_sum import SecureSum
from federated.survival.packing import REACH, length_of, shapes_of, unpack

COUNTS = frozenset({"deaths", "events", "pairs"})


class MaskedSums:
    """run: the federation. width: of the design; times: of a common baseline, 0 where each silo has its own."""

    def __init__(self, exchange: Exchange, registry: Registry, run: str, *, width: int, times: int) -> None:
        self.exchange, self.registry, self.run = exchange, registry, run
        self.width, self.times = width, times

    def ask(self, question: Message, rows: Mapping[str, int]) -> tuple[Arrays, list[str]]:
        """What the answers of these silos come to, as one silo would tell it, and the silos that are in it; all nan
        where one of them has sums for which there is no room. rows: silo → its rows.

        Raises FederationError where too few silos stay in the sum.
        """
        shapes = shapes_of(question.kind, self.width, self.times)
        asked = SecureSum(self.exchange, self.registry, rows, self.run)
        total, silos = asked.total(question, 1 + length_of(shapes), reach=REACH)
        if total[0] > 0.5:
            return {name: np.full(shape, np.nan) for name, shape in shapes.items()}, silos
        told = unpack(total[1:], shapes)
        return {name: np.rint(part) if name in COUNTS else part for name, part in told.items()}, silos
