"""Krum and Multi-Krum: Blanchard, El Mhamdi, Guerraoui, Stainer 2017, "Machine Learning with Adversaries: Byzantine
Tolerant Gradient Descent", https://arxiv.org/abs/1703.02757."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federated.average import krum_scores, moved, plain_mean
from federated.strategies import Server, StrategyError
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.job import LocalPlan


@dataclass(frozen=True)
class Krum(OneModel):
    """w ← w + mean of the `keep` updates with the least score s(i) = Σ ‖Δ_i - Δ_j‖² over the K - f - 2 nearest j.

    faulty: f, how many silos may lie; those whose update was refused are of them, and f is less by so many. keep: 1 is
    Krum, more is Multi-Krum; 0: all but the faulty ones.
    """

    faulty: int = 1
    keep: int = 0

    def check(self, plan: "LocalPlan") -> None:
        if self.faulty < 0 or self.keep < 0:
            raise StrategyError(f"Krum has faulty={self.faulty} and keep={self.keep}; neither can be below 0.")

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        faulty = max(0, self.faulty - server.refused)
        best = np.argsort(krum_scores(updates, faulty), kind="stable")
        chosen = [updates[place] for place in best[: self.keep or len(updates) - faulty]]
        return Server(moved(server.weights, plain_mean(chosen)), server.kept)
