"""What the adaptive servers of Reddi et al. 2021 share (Algorithm 2): they differ in their second moment alone."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from cluster.wire import Arrays
from federated.average import moved, weighted_mean, zeros
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update


class Adaptive(OneModel):
    """m ← β₁ m + (1 - β₁) Δ, v ← moment(v, Δ²), w ← w + η m / (√v + τ), where Δ = Σ (n_k / n) Δ_k; it begins with m = 0
    and v = τ².

    rate: η. first: β₁. tau: τ. Silos train by plain SGD, as in the paper: what their steps are scaled by is the
    server's to find, and two of these in a row are worse than either. Classes over few rows are learned from fewer and
    smaller steps, so that Δ is near the gradient over all rows; concrete's R² lost 0.02 by it, so quantities are not.
    """

    rate: float
    first: float
    tau: float
    training: ClassVar[Mapping[str, Any]] = {"epochs": 1, "optimizer": "sgd", "rate": 0.1, "weight_decay": 0.0}
    training_of_classes: ClassVar[Mapping[str, Any]] = {**training, "batch": 256, "rate": 0.03}

    @abstractmethod
    def moment(self, v: np.ndarray, square: np.ndarray) -> np.ndarray:
        """The next second moment. square: Δ²."""

    def start(self, first: Callable[[int], Arrays]) -> Server:
        weights = first(0)
        variance = {name: array + self.tau**2 for name, array in zeros(weights).items()}
        return Server(weights, {"mean": zeros(weights), "variance": variance})

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        delta, kept = weighted_mean(updates), server.kept
        mean = {name: self.first * kept["mean"][name] + (1 - self.first) * delta[name] for name in delta}
        variance = {name: self.moment(kept["variance"][name], delta[name] ** 2) for name in delta}
        step = {name: mean[name] / (np.sqrt(variance[name]) + self.tau) for name in delta}
        return Server(moved(server.weights, step, self.rate), {"mean": mean, "variance": variance})
