"""SCAFFOLD: Karimireddy, Kale, Mohri, Reddi, Stich, Suresh 2020, "SCAFFOLD: Stochastic Controlled Averaging for
Federated Learning", https://arxiv.org/abs/1910.06378 (Algorithm 1, option II)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.wire import Arrays
from federated.average import moved, plain_mean, weighted_mean, zeros
from federated.strategies import Server, StrategyError
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.bench import Bench, Work
    from federated.job import LocalPlan


@dataclass(frozen=True)
class Scaffold(OneModel):
    """Silo k steps along g - c_k + c, and then sets c_k⁺ = c_k - c + (w - w_k) / (K η_l), K its steps.

    w ← w + η Σ (n_k / n) Δ_k; c ← c + (S / N) · mean of (c_k⁺ - c_k), S of N silos having answered. c_k stays in the
    silo; what leaves is its change.
    """

    silos: int = 0  # N, all that there are; 0: as many as answer
    rate: float = 1.0

    def check(self, plan: "LocalPlan") -> None:
        if plan.optimizer != "sgd" or plan.weight_decay or plan.clip:
            raise StrategyError(
                f"Scaffold's equations are of plain SGD, and the silos train by {plan.optimizer} with weight_decay="
                f"{plan.weight_decay:g} and clip={plan.clip:g}. Pass optimizer='sgd', weight_decay=0 and clip=0."
            )

    def start(self, first: Callable[[int], Arrays]) -> Server:
        weights = first(0)
        return Server(weights, {"control": zeros(weights)})

    def send(self, server: Server) -> dict[str, Arrays]:
        control = {name: array.astype("float32") for name, array in server.kept["control"].items()}
        return {"weights": server.weights, "control": control}

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        theirs = sent["control"]
        ours = bench.kept.get("control") or zeros(theirs)
        work = bench.change(sent["weights"], along={name: theirs[name] - ours[name] for name in theirs})
        scale = 1.0 / (work.steps * bench.job.plan.rate)
        change = {name: (-theirs[name] - scale * work.groups["delta"][name]).astype("float32") for name in theirs}
        bench.kept["control"] = {name: ours[name] + change[name] for name in theirs}
        work.groups["control"] = change
        return work

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        answered = len(updates) / (self.silos or len(updates))
        control = moved(server.kept["control"], plain_mean(updates, "control"), answered)
        return Server(moved(server.weights, weighted_mean(updates), self.rate), {"control": control})
