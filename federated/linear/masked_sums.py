"""The silos' sums for a linear model, asked so that the coordinator learns their total alone."""

from collections.abc import Mapping

from cluster.wire import Arrays
from federated.exchange import Exchange
from federated.linear.packing import (
    REACH,
    Units,
    curves_length,
    moments_length,
    unpack_curves,
    unpack_moments,
)
from federated.message import Message
from federated.preparation import Preparation
from federated.secure_aggregation.identity import Registry
from federated.secure_aggregation.secure_sum import SecureSum


class MaskedSums:
    """rows: silo → its rows, of those that take part. quorum: of them must be in each sum. width: of the design."""

    def __init__(
        self,
        exchange: Exchange,
        registry: Registry,
        rows: Mapping[str, int],
        preparation: Preparation,
        *,
        quorum: int,
        width: int,
    ) -> None:
        self.exchange, self.quorum, self.width = exchange, quorum, width
        self.units = Units.of(preparation.target)
        self.sum = SecureSum(exchange, registry, rows, preparation.run)

    def ask(self, question: Message) -> dict[str, Arrays]:
        """What the silos' answers to "sum", "curve" or "judge" come to, in groups as one silo would tell them.

        Raises FederationError where too few silos stay in the sum.
        """
        models = list(question.groups.get("beta", {}))
        lengths = {
            "sum": moments_length(self.width),
            "curve": curves_length(self.width, len(models)),
            "judge": len(models) + 1,
        }
        total, silos = self.sum.total(question, lengths[question.kind], reach=REACH)
        self.exchange.check_quorum(len(silos), self.quorum, question.round)
        if question.kind == "sum":
            return {"0": self.units.back(unpack_moments(total, self.width))}
        if question.kind == "curve":
            return unpack_curves(total, self.width, models)
        if total[-1] <= 0:
            return {}
        return {"losses": {"loss": total[:-1] * self.units.scale**2, "weight": total[-1:]}}
