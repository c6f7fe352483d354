"""DP-FedAvg: McMahan, Ramage, Talwar, Zhang 2018, "Learning Differentially Private Recurrent Language Models",
https://arxiv.org/abs/1710.06963 (Algorithm 1)."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cluster.wire import Arrays
from federated.average import clipped, norm, zeros
from federated.strategies import Server, Strategy
from federated.update import Update
from framework.privacy.accountant import PrivacyError

if TYPE_CHECKING:
    from federated.bench import Bench, Work
    from federated.job import LocalPlan


@dataclass(frozen=True)
class SiloPrivate:
    """Any strategy without parts of single silos, on Δ = (Σ_{k in C} Δ_k min(1, S / ‖Δ_k‖₂) + N(0, (z S)² I)) / (q K).

    Each of the K silos is in C with chance q, drawn anew in each round by the coordinator, who tells nobody; all silos
    train. Divided by q K, whoever answered, so that one silo's part is never more than S. clip: S, which silos keep to
    themselves too. noise: z. share: q. silos: K.
    """

    inner: Strategy
    clip: float
    noise: float
    share: float
    silos: int
    personalises: ClassVar[bool] = False

    def check(self, plan: "LocalPlan") -> None:
        if self.inner.personalises or type(self.inner).__name__ in ("Krum", "Median", "TrimmedMean", "Scaffold"):
            raise PrivacyError(
                f"{type(self.inner).__name__} cannot be trained with silo-level privacy: the noise covers the mean of "
                f"all silos' changes and nothing else. Take FedAvg, FedProx, FedAvgM, FedAdagrad, FedAdam or FedYogi."
            )
        self.inner.check(plan)

    def start(self, first: Callable[[int], Arrays]) -> Server:
        return self.inner.start(first)

    def send(self, server: Server) -> dict[str, Arrays]:
        return self.inner.send(server)

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        made = self.inner.work(bench, sent)
        scale = min(1.0, self.clip / max(norm(made.groups["delta"]), 1e-30))
        made.groups["delta"] = {
            name: (scale * array).astype(array.dtype) for name, array in made.groups["delta"].items()
        }
        return made

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        draw = np.random.Generator(np.random.Philox(secrets.randbits(128)))  # never of the job's seed, which all know
        return self.inner.combine(server, [self.noisy_mean(server.weights, updates, draw)])

    def noisy_mean(self, like: Arrays, updates: Sequence[Update], draw: np.random.Generator) -> Update:
        """Δ as the only update. like: arrays of its shapes."""
        counted = [clipped(update, self.clip) for update in updates if draw.random() < self.share]
        total = zeros(like)
        for update in counted:
            total = {name: total[name] + update.delta[name] for name in total}
        spread = self.noise * self.clip
        mean = {
            name: (array + draw.normal(0.0, spread, array.shape)) / (self.share * self.silos)
            for name, array in total.items()
        }
        return Update("all", float(self.silos), 1, {"delta": mean})

    def common(self, bench: "Bench", sent: dict[str, Arrays]) -> Arrays:
        return self.inner.common(bench, sent)

    def personal(self, bench: "Bench", sent: dict[str, Arrays]) -> tuple[str, Arrays]:
        return "", {}
