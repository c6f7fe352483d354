"""A coordinator in a process of Ray's own."""

from pathlib import Path

from federated.channel import SigningChannel
from federated.job import Job
from federated.rounds import Coordinator, Outcome, Terms


class CoordinatorActor:
    """A coordinator in a process of its own. Started anew by Ray and asked again, it goes on from the checkpoint."""

    def __init__(self) -> None:
        self._coordinator: Coordinator | None = None

    def run(self, channel: SigningChannel, job: Job, terms: Terms, folder: Path) -> Outcome:
        """As `Coordinator.run`."""
        self._coordinator = Coordinator(channel, job, terms, folder)
        return self._coordinator.run()

    def progress(self) -> list[float]:
        """The scores until now; may be asked while `run` runs."""
        return self._coordinator.scores() if self._coordinator is not None else []
