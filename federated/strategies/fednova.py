"""FedNova: Wang, Liu, Liang, Joshi, Poor 2020, "Tackling the Objective Inconsistency Problem in Heterogeneous Federated
Optimization", https://arxiv.org/abs/2007.07481."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from federated.average import moved, nova
from federated.strategies import Server, StrategyError
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.job import LocalPlan


@dataclass(frozen=True)
class FedNova(OneModel):
    """w ← w + η τ_eff Σ p_k Δ_k / τ_k, τ_eff = Σ p_k τ_k, p_k = n_k / n, τ_k the steps of silo k."""

    rate: float = 1.0

    def check(self, plan: "LocalPlan") -> None:
        if plan.optimizer != "sgd":
            raise StrategyError(
                f"FedNova counts the steps of SGD, and the silos train by {plan.optimizer}. Pass optimizer='sgd'."
            )

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return Server(moved(server.weights, nova(updates), self.rate), server.kept)
