"""What the adaptive servers of Reddi et al. 2021 share (Algorithm 2): they differ in their second moment alone."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from cluster.wire import Arrays
from federated.average import moved, nova, zeros
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update


class Adaptive(OneModel):
    """m ← β₁ m + (1 - β₁) Δ, v ← moment(v, Δ²), w ← w + η m / (√v + τ), where Δ = τ_eff Σ p_k Δ_k / τ_k as FedNova has
    it (Wang et al. 2020, equation 6); it begins with m = 0 and v = τ².

    The paper's Δ is Σ p_k Δ_k, of silos that make equally many steps. In an epoch a silo makes them by its rows, so
    that it would pull by their square: the largest city has 51 % of Sacramento's houses, and in batches of 32 rows 86 %
    of that Δ.

    rate: η. first: β₁. tau: τ. Silos train by plain SGD, as in the paper: what their steps are scaled by is the
    server's to find, and two of these in a row are worse than either. Classes over few rows are learned from fewer and
    smaller steps, so that Δ is near the gradient over all rows: 1 - Brier / base of attrition by role went from 0.316
    to 0.372 (two seeds; the pooled net's 0.383), while concrete's R² lost 0.02 by it, so that quantities are not.
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
        delta, kept = nova(updates), server.kept
        mean = {name: self.first * kept["mean"][name] + (1 - self.first) * delta[name] for name in delta}
        variance = {name: self.moment(kept["variance"][name], delta[name] ** 2) for name in delta}
        step = {name: mean[name] / (np.sqrt(variance[name]) + self.tau) for name in delta}
        return Server(moved(server.weights, step, self.rate), {"mean": mean, "variance": variance})
