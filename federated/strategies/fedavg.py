"""FedAvg: McMahan, Moore, Ramage, Hampson, Agüera y Arcas 2017, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", https://arxiv.org/abs/1602.05629."""

from collections.abc import Sequence
from dataclasses import dataclass

from federated.average import moved, weighted_mean
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update


@dataclass(frozen=True)
class FedAvg(OneModel):
    """w ← w + η Σ (n_k / n) Δ_k, where Δ_k = w_k - w and η is the server's rate."""

    rate: float = 1.0

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return Server(moved(server.weights, weighted_mean(updates), self.rate), server.kept)
