"""Averaged weights: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, "Averaging Weights Leads to Wider Optima and
Better Generalization", https://arxiv.org/abs/1803.05407; on a federation's server: Caldarola, Caputo, Ciccone 2022,
https://arxiv.org/abs/2203.11834."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cluster.wire import Arrays
from federated.average import moved
from federated.strategies import Server, Strategy, StrategyError
from federated.strategies.plain import OneModel
from federated.update import Update

if TYPE_CHECKING:
    from federated.bench import Bench, Work
    from federated.job import LocalPlan


@dataclass(frozen=True)
class Averaged(OneModel):
    """Any strategy with one model w, and what answers is the moving mean of it: a ← m a + (1 - m) w after round t, from
    1, where m = min(memory, (1 + t) / (10 + t)).

    Silos train w and are judged by a, so that both are sent.
    """

    inner: Strategy
    memory: float = 0.95

    def check(self, plan: "LocalPlan") -> None:
        if self.inner.personalises:
            raise StrategyError(
                f"{type(self.inner).__name__} has models of single silos, and Averaged is the mean of a common one. "
                f"Put it inside: FineTuned(Averaged(FedAvg()))."
            )
        if not 0 <= self.memory < 1:
            raise StrategyError(f"a mean that remembers {self.memory:g} never moves, or not to the mean: 0 to below 1.")
        self.inner.check(plan)

    def start(self, first: Callable[[int], Arrays]) -> Server:
        server = self.inner.start(first)
        return Server(server.weights, {**server.kept, "trained": server.weights, "round": {"t": np.zeros(1)}})

    def send(self, server: Server) -> dict[str, Arrays]:
        trained = self.inner.send(self._inner(server))
        return {"weights": server.weights, **{f"inner {name}": arrays for name, arrays in trained.items()}}

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        return self.inner.work(bench, {k.removeprefix("inner "): v for k, v in sent.items() if k.startswith("inner ")})

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        made = self.inner.combine(self._inner(server), updates)
        t = float(server.kept["round"]["t"][0]) + 1
        share = 1 - min(self.memory, (1 + t) / (10 + t))
        apart = {name: made.weights[name] - array for name, array in server.weights.items()}
        mean = moved(server.weights, apart, share)
        return Server(mean, {**made.kept, "trained": made.weights, "round": {"t": np.full(1, t)}})

    def _inner(self, server: Server) -> Server:
        """The same as the strategy inside knows it."""
        kept = {name: arrays for name, arrays in server.kept.items() if name not in ("trained", "round")}
        return Server(server.kept["trained"], kept, server.refused)
