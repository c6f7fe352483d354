"""What a fit tells while it runs, and the actor where the contest hears it.

A file of its own that imports next to nothing: whatever it did, each contest's actor would load before its first word.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework.sweep.trial import Trial


@dataclass(frozen=True)
class Report:
    """A step's metrics of one contender, or a remark; step 0 with neither says that its fit has begun.

    trial: what a sweep has just tried, the step being its number.
    """

    contender: str
    refit: bool
    step: int
    metrics: dict[str, float]
    time: float  # seconds of time.time()
    remark: str = ""
    held: int = 0  # which of the contest's folds was held out
    trial: "Trial | None" = None


class Reports:
    """The actor where fits leave their reports and the contest collects them."""

    def __init__(self) -> None:
        self.waiting: list[Report] = []

    def add(self, reports: list[Report]) -> None:
        self.waiting += reports

    def drain(self) -> list[Report]:
        drained, self.waiting = self.waiting, []
        return drained
