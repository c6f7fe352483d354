"""IFCA: Ghosh, Chung, Yin, Ramchandran 2020, "An Efficient Framework for Clustered Federated Learning",
https://arxiv.org/abs/2006.04088 (Algorithm 1, model averaging)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cluster.wire import Arrays
from federated.average import moved, weighted_mean
from federated.strategies import Server, StrategyError
from federated.update import Update

if TYPE_CHECKING:
    from federated.bench import Bench, Work
    from federated.job import LocalPlan


@dataclass(frozen=True)
class IFCA:
    """`clusters` models; silo k trains the one with the least loss on its rows, ĵ = argmin_j F_k(w_j), and the server
    averages the updates of each: w_j ← w_j + Σ_{k: ĵ_k = j} (n_k / n_j) Δ_k.

    Silos that took no part are answered by the model that most rows chose in the last round.
    """

    clusters: int = 2
    personalises: ClassVar[bool] = True

    def check(self, plan: "LocalPlan") -> None:
        if self.clusters < 2:
            raise StrategyError(f"IFCA with {self.clusters} cluster(s) is FedAvg. Ask for 2 or more.")

    def start(self, first: Callable[[int], Arrays]) -> Server:
        models = {f"cluster {place}": first(place) for place in range(self.clusters)}
        return Server(models["cluster 0"], models)

    def send(self, server: Server) -> dict[str, Arrays]:
        return server.kept

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        place = self._nearest(bench, sent)
        work = bench.change(sent[f"cluster {place}"])
        work.facts["cluster"] = place
        return work

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        models, rows = dict(server.kept), [0.0] * self.clusters
        for place in range(self.clusters):
            if chosen := [update for update in updates if update.cluster == place]:
                name = f"cluster {place}"
                models[name] = moved(models[name], weighted_mean(chosen))
                rows[place] = sum(update.rows for update in chosen)
        return Server(models[f"cluster {int(np.argmax(rows))}"], models)

    def common(self, bench: "Bench", sent: dict[str, Arrays]) -> Arrays:
        return sent[f"cluster {self._nearest(bench, sent)}"]

    def personal(self, bench: "Bench", sent: dict[str, Arrays]) -> tuple[str, Arrays]:
        place = self._nearest(bench, sent)
        return f"cluster {place}", sent[f"cluster {place}"]

    def _nearest(self, bench: "Bench", sent: dict[str, Arrays]) -> int:
        return int(np.argmin([bench.train_loss(sent[f"cluster {place}"]) for place in range(self.clusters)]))
