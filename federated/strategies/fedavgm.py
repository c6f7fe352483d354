"""FedAvgM: Hsu, Qi, Brown 2019, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification", https://arxiv.org/abs/1909.06335."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.wire import Arrays
from federated.average import moved, weighted_mean, zeros
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update


@dataclass(frozen=True)
class FedAvgM(OneModel):
    """v ← β v + Δ, w ← w + η v, where Δ = Σ (n_k / n) Δ_k."""

    momentum: float = 0.9
    rate: float = 0.3

    def start(self, first: Callable[[int], Arrays]) -> Server:
        weights = first(0)
        return Server(weights, {"velocity": zeros(weights)})

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        mean, velocity = weighted_mean(updates), server.kept["velocity"]
        velocity = {name: self.momentum * velocity[name] + mean[name] for name in mean}
        return Server(moved(server.weights, velocity, self.rate), {"velocity": velocity})
