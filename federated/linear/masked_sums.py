"""The silos' sums for a linear model, asked so that the coordinator learns their total alone."""

from collections.abc import Mapping

from cluster.wire import Arrays
from federated.exchange import Exchange
from federated.linear.encoding import split_sums, wide
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
    """rows: silo → its rows, of those that take part. quorum: of them must be in each sum."""

    def __init__(
        self,
        exchange: Exchange,
        registry: Registry,
        rows: Mapping[str, int],
        preparation: Preparation,
        *,
        quorum: int,
    ) -> None:
        self.exchange, self.quorum = exchange, quorum
        self.units = Units.of(preparation.target)
        self.sum = SecureSum(exchange, registry, rows, preparation.run)

    def answers(self, question: Message, preparation: Preparation) -> tuple[Arrays, tuple[str, ...]]:
        """Of each column of many values what the silos' answers to "encode" come to, and whose they are."""
        length = sum(2 * preparation.encoder.cards[place] for place in wide(preparation.encoder).values())
        total, silos = self.sum.total(question, length, reach=REACH)
        self.exchange.check_quorum(len(silos), self.quorum, question.round)
        return split_sums(total, preparation), tuple(silos)

    def ask(self, question: Message, width: int) -> dict[str, Arrays]:
        """What the silos' answers to "sum", "curve" or "judge" come to, in groups as one silo would tell them. width:
        of the design.

        Raises FederationError where too few silos stay in the sum.
        """
        models = list(question.groups.get("beta", {}))
        lengths = {
            "sum": moments_length(width),
            "curve": curves_length(width, len(models)),
            "judge": len(models) + 1,
        }
        total, silos = self.sum.total(question, lengths[question.kind], reach=REACH)
        self.exchange.check_quorum(len(silos), self.quorum, question.round)
        if question.kind == "sum":
            return {"0": self.units.back(unpack_moments(total, width))}
        if question.kind == "curve":
            return unpack_curves(total, width, models)
        if total[-1] <= 0:
            return {}
        return {"losses": {"loss": total[:-1] * self.units.scale**2, "weight": total[-1:]}}
