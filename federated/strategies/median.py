"""Coordinate-wise median: Yin, Chen, Ramchandran, Bartlett 2018, "Byzantine-Robust Distributed Learning: Towards
Optimal Statistical Rates", https://arxiv.org/abs/1803.01498."""

from collections.abc import Sequence
from dataclasses import dataclass

from federated.average import median, moved
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update


@dataclass(frozen=True)
class Median(OneModel):
    """w ← w + median of Δ by coordinate; silos count alike."""

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return Server(moved(server.weights, median(updates)), server.kept)
