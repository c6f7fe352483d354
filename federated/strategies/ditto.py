"""Ditto: Li, Hu, Beirami, Smith 2021, "Ditto: Fair and Robust Federated Learning Through Personalization",
https://arxiv.org/abs/2012.04221 (Algorithm 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cluster.wire import Arrays
from federated.average import moved, weighted_mean
from federated.strategies import Server
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.bench import Bench, Work


@dataclass(frozen=True)
class Ditto(OneModel):
    """The common model as FedAvg; beside it silo k keeps v_k and learns min F_k(v) + λ/2 ‖v - w‖², w as it was sent."""

    strength: float = 0.1  # λ: larger is nearer to the common model
    personalises: ClassVar[bool] = True

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        own = bench.kept.get("own") or sent["weights"]
        bench.change(own, pull=self.strength, towards=sent["weights"])
        bench.kept["own"] = bench.weights()
        return bench.change(sent["weights"])

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return Server(moved(server.weights, weighted_mean(updates)), server.kept)

    def personal(self, bench: "Bench", sent: dict[str, Arrays]) -> tuple[str, Arrays]:
        own = bench.kept.get("own")
        return (bench.silo, own) if own else ("", {})
