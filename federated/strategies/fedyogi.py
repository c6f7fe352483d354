"""FedYogi: Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan 2021, "Adaptive Federated Optimization",
https://arxiv.org/abs/2003.00295."""

from dataclasses import dataclass

import numpy as np

from federated.strategies.adaptive import Adaptive


@dataclass(frozen=True)
class FedYogi(Adaptive):
    """m ← β₁ m + (1 - β₁) Δ, v ← v - (1 - β₂) Δ² sign(v - Δ²), w ← w + η m / (√v + τ), where Δ = Σ (n_k / n) Δ_k."""

    rate: float = 0.005
    first: float = 0.9
    second: float = 0.99
    tau: float = 0.00001

    def moment(self, v: np.ndarray, square: np.ndarray) -> np.ndarray:
        return np.asarray(v - (1 - self.second) * square * np.sign(v - square))
