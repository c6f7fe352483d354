"""A silo whose rounds are sums over its rows, told as they are or under masks: what linear and Cox models share."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from federated.message import Message
from federated.policy import PolicyError
from federated.questions import STATISTICS, SUMMING, NotReadyError, Told
from federated.secure_aggregation.identity import Identity
from federated.secure_aggregation.member import Summand
from federated.silo import Silo
from federated.source import Source

if TYPE_CHECKING:
    from federated.job import AnyJob
    from framework.data.frame import Frame


class SummingSilo(Silo):
    """As `Silo`. Its sums are of the rows that it joined with, no more of them than it joined for."""

    questions: ClassVar = SUMMING | STATISTICS | {"join", "cells", "categories", "prepare"}

    def __init__(self, source: Source, folder: Path | None = None, identity: Identity | None = None) -> None:
        super().__init__(source, folder, identity)
        self._joined: tuple[AnyJob, Frame] | None = None

    def _take_part(self, job: "AnyJob", frame: "Frame") -> Told:
        """Raises PolicyError where its sums were to be masked and it cannot sign."""
        if job.secure and self._member is None:
            raise PolicyError(f"silo {self._source.name!r} has no key to sign with, which secure aggregation needs.")
        self._joined = job, frame
        return "joined", {"rows": len(frame)}, {}

    def _check_joined_for(self, asked: Message, what: str = "sums", *, other: bool = False) -> None:
        """Raises PolicyError for more sums than the silo has joined for, or other ones. what: it joined for."""
        job, _ = self._asked_for()
        if other or asked.round > job.rounds:
            raise PolicyError(
                f"silo {self._source.name!r} joined for {job.rounds} {what}, and is asked for {asked.kind!r} number "
                f"{asked.round}."
            )

    def _masked(self, asked: Message, summand: Summand, length: int) -> Told:
        """The first word of a sum in which this silo's part is hidden. length: of its vector."""
        self._summed = {"sums": (length,)}
        return self._summing().begin(asked, self._run, summand)

    def _asked_for(self) -> "tuple[AnyJob, Frame]":
        if self._joined is None:
            raise NotReadyError
        return self._joined

    def _hides(self, kind: str) -> bool:
        return self._joined is not None and self._joined[0].secure

    def _shapes(self) -> dict[str, tuple[int, ...]] | None:
        return self._summed if self._joined is None or self._joined[0].secure else self._open_shapes()

    def _open_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Of the arrays that it tells as they are; None before it is prepared."""
        return None
