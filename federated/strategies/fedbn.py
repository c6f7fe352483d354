"""FedBN: Li, Jiang, Zhang, Kamp, Dou 2021, "FedBN: Federated Learning on Non-IID Features via Local Batch
Normalization", https://arxiv.org/abs/2102.07623."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cluster.wire import Arrays
from federated.average import moved, weighted_mean
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.bench import Bench, Work


@dataclass(frozen=True)
class FedBN(OneModel):
    """As FedAvg, but in each silo the layers that normalise are its own, and those of the server are not taken over.

    The server averages these layers nevertheless: they answer for silos that took no part.
    """

    personalises: ClassVar[bool] = True

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        work = bench.change(self.common(bench, sent))
        after = bench.weights()
        bench.kept["norms"] = {name: after[name] for name in bench.norms()}
        own = {name: after[name] - sent["weights"][name] for name in bench.norms()}
        work.groups["delta"] = {**work.groups["delta"], **own}
        return work

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return Server(moved(server.weights, weighted_mean(updates)), server.kept)

    def common(self, bench: "Bench", sent: dict[str, Arrays]) -> Arrays:
        return {**sent["weights"], **bench.kept.get("norms", {})}

    def personal(self, bench: "Bench", sent: dict[str, Arrays]) -> tuple[str, Arrays]:
        return bench.silo, bench.kept.get("norms", {})
