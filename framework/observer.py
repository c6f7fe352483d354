"""Who may watch a contest: the live table, the tracker."""

from typing import Protocol

from framework.contender import Contender
from framework.contest.report import Report
from framework.leaderboard import Entry, Failure, Leaderboard


class Observer(Protocol):
    """Told of everything that happens in a contest, in order, from the driver's main thread; must be quick."""

    def entered(self, contenders: list[Contender]) -> None:
        """The contest begins; these compete."""
        ...

    def began(self, name: str) -> None:
        """A contender's fit has begun on a worker."""
        ...

    def reported(self, report: Report) -> None:
        """A contender told how far it is."""
        ...

    def ended(self, row: Entry | Failure) -> None:
        """A contender has left a model or a reason."""
        ...

    def closed(self, board: Leaderboard) -> None:
        """The contest is over; also when it was interrupted."""
        ...
