"""Norm clipping: Sun, Kairouz, Suresh, McMahan 2019, "Can You Really Backdoor Federated Learning?",
https://arxiv.org/abs/1911.07963, section 5."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federated.average import clipped, moved, norm, weighted_mean
from federated.strategies import Server, StrategyError
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.job import LocalPlan


@dataclass(frozen=True)
class NormClipped(OneModel):
    """w ← w + Σ (n_k / n) Δ_k min(1, M / ‖Δ_k‖₂). most: M; 0: the median of the norms that came this round."""

    most: float = 0.0

    def check(self, plan: "LocalPlan") -> None:
        if self.most < 0:
            raise StrategyError(f"a norm cannot be held below {self.most:g}. Pass 0 for the median of the norms.")

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        most = self.most or float(np.median([norm(update.delta) for update in updates]))
        mean = weighted_mean([clipped(update, most) for update in updates])
        return Server(moved(server.weights, mean), server.kept)
