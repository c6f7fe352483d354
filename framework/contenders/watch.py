"""When a boosted or iterated fit stops: no gain for a while, or no time."""

import time
from dataclasses import dataclass, field

from framework.contender import Context

SPARE_SHARE = 0.08  # of the time at the start, kept for saving the model and answering the validation rows
SPARE_SECONDS = 0.3


@dataclass
class Watch:
    """Told the validation score of every round, it says when to stop and which round was the best.

    patience: rounds without gain before it stops; 0: never for that reason.
    """

    context: Context
    patience: int
    larger: bool = False
    best: float | None = None
    best_round: int = 0
    rounds: int = 0
    began: float = field(default_factory=time.time)  # from the first round's end on, that: what came before is no pace
    before: int = 0  # rounds at that moment
    first: float = 0.0  # seconds that they took
    spare: float = 0.0

    def __post_init__(self) -> None:
        left = self.context.remaining()
        self.spare = min(SPARE_SECONDS + SPARE_SHARE * left, 10.0, left / 2) if left != float("inf") else 0.0

    def stop(self, round_: int, score: float | None) -> bool:
        """Whether round `round_` (from 0) was the last. score: None where there is nothing to score on."""
        first = not self.rounds
        self.rounds = round_ + 1
        if score is None:
            self.best_round = round_
        elif self.best is None or (score > self.best if self.larger else score < self.best):
            self.best, self.best_round = score, round_
        stale = bool(self.patience) and score is not None and round_ - self.best_round >= self.patience
        late = self.late(1.5 * self.pace)
        if first:
            self.first, self.before, self.began = self.pace, self.rounds, time.time()
        return late or stale

    def late(self, seconds: float = 0.0) -> bool:
        """Whether there is no time for something that takes this long."""
        return self.context.remaining() - self.spare < seconds

    @property
    def pace(self) -> float:
        """Seconds a round; of the first one, with all that an engine does before it, only while there is no other."""
        if self.before and self.rounds == self.before:
            return self.first
        return (time.time() - self.began) / max(1, self.rounds - self.before)

    @property
    def affordable(self) -> float:
        """How many more rounds fit in the time that is left."""
        return max(0.0, self.context.remaining() - self.spare) / max(self.pace, 1e-6)
