"""The actor that holds the best model of a sweep: no trial is fit twice, and no other model is kept."""

from typing import Any

from framework.sweep.ledger import Ledger


class Keeper:
    """Asked by every trial that has ended whether its model is the best so far."""

    def __init__(self, *, larger: bool, ledger: Ledger | None) -> None:
        """larger: whether a larger score is better. The model that the ledger holds is the best so far."""
        self.larger, self.ledger, self.score = larger, ledger, 0.0
        self.found: dict[str, Any] = {}
        self.ended: dict[int, dict[str, Any]] = {}
        self.packed: bytes | None = None
        if ledger is not None and (best := ledger.best()) is not None:
            self.score, self.found, self.packed = best

    def hear(self, number: int, ended: dict[str, Any]) -> bool:
        """Notes how a trial ended, in case that Tune is stopped before it hears of it; whether its model is wanted.

        ended: its last report, with its "score".
        """
        self.ended[number] = ended
        return self.wants(ended["score"])

    def told(self) -> dict[int, dict[str, Any]]:
        """The last report of each trial that ended well, by its number."""
        return self.ended

    def wants(self, score: float) -> bool:
        """Whether no model so far has this score."""
        return self.packed is None or (score > self.score if self.larger else score < self.score)

    def offer(self, number: int, score: float, found: dict[str, Any], packed: bytes) -> None:
        """Keeps a trial's model where it still is the best. found: the fields of its contender that were changed."""
        if not self.wants(score):
            return
        self.score, self.found, self.packed = score, found, packed
        if self.ledger is not None:
            self.ledger.keep(number, score, found, packed)

    def best(self) -> tuple[dict[str, Any], bytes | None]:
        """The changed fields and the archive of the best model; None before there is any."""
        return self.found, self.packed
