"""What the adaptive servers of Reddi et al. 2021 share (Algorithm 2): they differ in their second moment alone."""

from collections.abc import Callable, Sequence

import numpy as np

from cluster.wire import Arrays
from federated.average import moved, weighted_mean, zeros
from federated.strategies import Server
from federated.update import Update

Second = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (v, Δ²) → v


def begin(weights: Arrays, tau: float) -> Server:
    """m = 0, v = τ²."""
    variance = {name: array + tau**2 for name, array in zeros(weights).items()}
    return Server(weights, {"mean": zeros(weights), "variance": variance})


def advance(
    server: Server, updates: Sequence[Update], second: Second, *, rate: float, beta: float, tau: float
) -> Server:
    """m ← β₁ m + (1 - β₁) Δ, v ← second(v, Δ²), w ← w + η m / (√v + τ), where Δ = Σ (n_k / n) Δ_k."""
    delta = weighted_mean(updates)
    mean = {name: beta * server.kept["mean"][name] + (1 - beta) * delta[name] for name in delta}
    variance = {name: second(server.kept["variance"][name], delta[name] ** 2) for name in delta}
    step = {name: mean[name] / (np.sqrt(variance[name]) + tau) for name in delta}
    return Server(moved(server.weights, step, rate), {"mean": mean, "variance": variance})
