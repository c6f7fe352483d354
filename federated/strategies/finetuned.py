"""Local fine-tuning: Wang, Mathews, Kiddon, Eichner, Beaufays, Ramage 2019, "Federated Evaluation of On-device
Personalization", https://arxiv.org/abs/1910.10252."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cluster.wire import Arrays
from federated.strategies import Server, Strategy
from federated.update import Update

if TYPE_CHECKING:
    from federated.bench import Bench, Work
    from federated.job import LocalPlan


@dataclass(frozen=True)
class FineTuned:
    """Any strategy, and at its end each silo trains the model on for itself: w_k = argmin F_k, begun at w.

    It stops at the epoch, of at most `epochs`, that answers the silo's own validation rows best. That it answers them
    better must be more than chance: by `surety` standard errors of the mean difference of a row's losses. Else, and in
    a silo without validation rows, the common model answers. With record-level privacy all epochs are made.
    rate: of AdamW, by which silos do it, whatever they trained by before.
    """

    inner: Strategy
    epochs: int = 10
    rate: float = 0.0005
    surety: float = 2.0
    personalises: ClassVar[bool] = True

    def check(self, plan: "LocalPlan") -> None:
        self.inner.check(plan)

    def start(self, first: Callable[[int], Arrays]) -> Server:
        return self.inner.start(first)

    def send(self, server: Server) -> dict[str, Arrays]:
        return self.inner.send(server)

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        return self.inner.work(bench, sent)

    def combine(self, server: Server, updates: Sequence[Update]) -> Server:
        return self.inner.combine(server, updates)

    def common(self, bench: "Bench", sent: dict[str, Arrays]) -> Arrays:
        return self.inner.common(bench, sent)

    def personal(self, bench: "Bench", sent: dict[str, Arrays]) -> tuple[str, Arrays]:
        part, own = self.inner.personal(bench, sent)
        start = {**sent["weights"], **own} if "weights" in sent else own
        tuned = bench.fine_tuned(start, epochs=self.epochs, rate=self.rate, surety=self.surety)
        return (bench.silo, tuned) if tuned is not None else (part, own)
