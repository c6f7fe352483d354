"""FedAdagrad: Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan 2021, "Adaptive Federated Optimization",
https://arxiv.org/abs/2003.00295."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.wire import Arrays
from federated.strategies import Server
from federated.strategies.adaptive import advance, begin
from federated.strategies.plain import OneModel
from federated.update import Update


@dataclass(frozen=True)
class FedAdagrad(OneModel):
    """m ← β₁ m + (1 - β₁) Δ, v ← v + Δ², w ← w + η m / (√v + τ), where Δ = Σ (n_k / n) Δ_k."""

    rate: float = 0.01
    first: float = 0.0
    tau: float = 0.001

    def start(self, first: Callable[[int], Arrays]) -> Server:
        return begin(first(0), self.tau)

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return advance(server, updates, self._moment, rate=self.rate, beta=self.first, tau=self.tau)

    def _moment(self, v: np.ndarray, square: np.ndarray) -> np.ndarray:
        return np.asarray(v + square)
