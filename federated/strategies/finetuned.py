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
    better must be more than chance: by `surety` standard errors of the mean difference of a row's losses, or of a
    group's, of which there must be eight (rows of one spell of a series are a group). Else, and in a silo without
    validation rows, the common model answers. With record-level privacy all epochs are made.
    rate: of AdamW, by which silos do it, whatever they trained by before.
    settled: silo → its epochs, as a fit has found them: silos look at no validation rows then, and those that are not
    named are answered by the common model. None: silos find them.
    """

    inner: Strategy
    epochs: int = 10
    rate: float = 0.0005
    surety: float = 2.0
    settled: tuple[tuple[str, int], ...] | None = None
    personalises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.settled is not None:  # JSON has lists
            object.__setattr__(self, "settled", tuple((str(silo), int(epochs)) for silo, epochs in self.settled))

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
        if self.settled is None:
            tuned = bench.fine_tuned(start, epochs=self.epochs, rate=self.rate, surety=self.surety)
        else:
            tuned = bench.trained_on(start, epochs=dict(self.settled).get(bench.silo, 0), rate=self.rate)
        return (bench.silo, tuned) if tuned is not None else (part, own)
