"""How the model of each round answers the silos' validation rows, and which round's was best."""

from typing import Self

import numpy as np

from cluster.wire import Facts
from federated.message import Message
from federated.secure_aggregation.contribution import Contribution
from federated.strategies import Server

SUM = ""  # whose score it is where no silo's own is told


class Judgement:
    """scores: the mean validation loss after each round, from 0. best: as a strategy kept it after `best_round`; None
    before any score. losses: silo → its last validation loss, and the rows it is of."""

    def __init__(self) -> None:
        self.losses: dict[str, tuple[float, float]] = {}
        self.scores: list[float] = []
        self.best: Server | None = None
        self.best_round = 0

    def hear(self, silo: str, answer: Message) -> None:
        """What a silo tells of the model that it was sent."""
        loss = answer.facts.get("valid_loss")
        if loss is not None and np.isfinite(loss):
            self.losses[silo] = (float(loss), float(answer.facts["valid_rows"]))

    def hear_sum(self, mean: Contribution) -> None:
        """What all silos of a sum tell together."""
        if mean.valid_rows > 0:
            self.losses = {SUM: (mean.loss, mean.valid_rows)}

    def look(self, server: Server, done: int) -> None:
        """Scores the model as it was sent out after so many rounds: by every silo's last word on it, so that one that
        is late now does not move the score. A secure job is scored by the silos that are in its sum."""
        if not self.losses:
            return
        losses, rows = np.array(list(self.losses.values())).T
        self.scores.append(float(np.average(losses, weights=rows)))
        if self.best is None or self.scores[-1] < min(self.scores[:-1]):
            self.best, self.best_round = server, done

    def stale(self, done: int, patience: int) -> bool:
        """Whether so many rounds have brought no gain; patience 0: never."""
        looked = done - 1  # the last round whose model has been scored
        return bool(patience and self.scores) and looked - self.best_round >= patience

    def to_facts(self) -> Facts:
        return {"losses": self.losses, "scores": self.scores, "best_round": self.best_round}

    @classmethod
    def from_facts(cls, facts: Facts, best: Server | None) -> Self:
        made = cls()
        made.losses = {silo: (loss, rows) for silo, (loss, rows) in facts["losses"].items()}
        made.scores, made.best_round, made.best = facts["scores"], facts["best_round"], best
        return made
