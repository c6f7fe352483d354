"""What silos of a secure job agree of their columns' values: sums under masks, of which nobody sees a silo's own."""

from collections.abc import Mapping

import numpy as np

from cluster.wire import Arrays, Facts
from federated.exchange import Exchange
from federated.message import Message
from federated.secure_aggregation.identity import Registry
from federated.secure_aggregation.secure_sum import SecureSum
from federated.statistics import CELLS, Moments
from federated.summed_statistics import POWER_SUMS, REACH, closer, moments_from, place_of, wide_edges
from framework.contenders.native import Native
from framework.data.schema import Schema


class SummedAgreement:
    """rows: silo → its rows, of those that take part. run: the federation. quorum: how many must stay in each sum."""

    def __init__(
        self, exchange: Exchange, registry: Registry, rows: Mapping[str, int], run: str, *, quorum: int
    ) -> None:
        self.exchange, self.registry, self.rows, self.run, self.quorum = exchange, registry, rows, run, quorum

    def measure(self, schema: Schema) -> tuple[Moments, np.ndarray]:
        """Moments and histogram of the encoded columns, and after them, for a quantity, of the answers.

        Raises FederationError where too few silos stay in a sum.
        """
        width, facts = Native(schema).width + (not schema.classes), {"schema": schema.to_json()}
        edges = wide_edges(width)
        place = place_of(self._counts("cells", facts, (width, edges.shape[1] - 1), {}), edges)
        for look in ("first", "second"):
            sums, silos = self._sum(f"{look} moments").total(
                self._asked("moments", f"{look} moments", facts, {"place": {"place": place}}),
                POWER_SUMS * width,
                reach=REACH,
            )
            self.exchange.check_quorum(len(silos), self.quorum, 0)
            moments = moments_from(sums.reshape(POWER_SUMS, width), place)
            place = closer(moments, place)
        return moments, self._counts("histograms", {}, (width, CELLS), {"moments": moments.to_arrays()})

    def _counts(self, kind: str, facts: Facts, shape: tuple[int, int], groups: dict[str, Arrays]) -> np.ndarray:
        told, silos = self._sum(kind).counts(self._asked(kind, kind, facts, groups), shape[0] * shape[1])
        self.exchange.check_quorum(len(silos), self.quorum, 0)
        return told.reshape(shape)

    def _sum(self, name: str) -> SecureSum:
        return SecureSum(self.exchange, self.registry, self.rows, f"{self.run} {name}")

    def _asked(self, kind: str, name: str, facts: Facts, groups: dict[str, Arrays]) -> Message:
        return Message(kind, facts={**facts, "run": f"{self.run} {name}"}, groups=groups)
