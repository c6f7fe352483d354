"""FedProx: Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith 2020, "Federated Optimization in Heterogeneous Networks",
https://arxiv.org/abs/1812.06127."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.wire import Arrays
from federated.average import moved, weighted_mean
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.bench import Bench, Work


@dataclass(frozen=True)
class FedProx(OneModel):
    """Each silo learns min F_k(w') + μ/2 ‖w' - w‖²; then as FedAvg."""

    mu: float = 0.01

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        return bench.change(sent["weights"], pull=self.mu)

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return Server(moved(server.weights, weighted_mean(updates)), server.kept)
