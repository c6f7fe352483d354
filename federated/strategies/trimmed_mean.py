"""Trimmed mean: Yin, Chen, Ramchandran, Bartlett 2018, "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates", https://arxiv.org/abs/1803.01498."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from federated.average import moved, trimmed_mean
from federated.strategies import Server, StrategyError
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.job import LocalPlan


@dataclass(frozen=True)
class TrimmedMean(OneModel):
    """w ← w + mean of Δ by coordinate, without the share of largest and of smallest values; silos count alike."""

    share: float = 0.2

    def check(self, plan: "LocalPlan") -> None:
        if not 0 <= self.share < 0.5:
            raise StrategyError(f"a trimmed mean without {self.share:g} at either end has nothing left. Pass less.")

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return Server(moved(server.weights, trimmed_mean(updates, self.share)), server.kept)
