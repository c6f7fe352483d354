"""What most strategies share: one model for all, sent whole, trained on, its change sent back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from cluster.wire import Arrays
from federated.strategies import Server

if TYPE_CHECKING:
    from federated.bench import Bench, Work
    from federated.job import LocalPlan


class OneModel:
    """Every step but `combine`, as FedAvg has them. What differs is written where it differs."""

    personalises: ClassVar[bool] = False

    def check(self, plan: "LocalPlan") -> None:
        """Any training will do."""

    def start(self, first: Callable[[int], Arrays]) -> Server:
        return Server(first(0), {})

    def send(self, server: Server) -> dict[str, Arrays]:
        return {"weights": server.weights}

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        return bench.change(sent["weights"])

    def common(self, bench: "Bench", sent: dict[str, Arrays]) -> Arrays:
        return sent["weights"]

    def personal(self, bench: "Bench", sent: dict[str, Arrays]) -> tuple[str, Arrays]:
        return "", {}
