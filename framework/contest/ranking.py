"""Who has entered the leaderboard of a contest that goes on, who is lost, and who leads."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from framework.contender import Contender
from framework.contenders.constant import Constant
from framework.contenders.ensemble import Combined
from framework.contest.race import Lost
from framework.data.frame import Truth
from framework.kept import Files
from framework.leaderboard import Entry, Failure
from framework.metric import Metric
from framework.statistics import Cost, Prefer, compare, interval, preferred
from framework.statistics.preference import TIED


@dataclass
class Ranking:
    """The rows of one contest's leaderboard.

    ended: told of each new row. combined: ensemble → what it is made of. noises: of the entries but the best, the
    p-value that it scores as the best does.
    """

    metric: Metric
    seed: int
    ended: Callable[[Entry | Failure], None]
    entries: list[Entry] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    combined: dict[str, Combined] = field(default_factory=dict)
    noises: dict[str, float] = field(default_factory=dict)

    def enter(
        self,
        contender: Contender,
        truth: Truth,
        predicted: np.ndarray,
        *,
        seconds: float,
        remark: str = "",
        files: Files | None = None,
    ) -> None:
        """A row with its score on the rows ranked on; one without a score is lost."""
        score = self.metric.score(truth, predicted)
        if not math.isfinite(score):
            reason = f"its {self.metric.title} is {score} on the validation rows"
            self.lose(Lost(contender, "failed", reason, seconds, refit=False))
            return
        band = interval(self.metric, truth, predicted, seed=self.seed)
        entry = Entry(contender.name, score, band, seconds, contender, predicted, remark=remark, files=files or {})
        self.entries.append(entry)
        self.ended(entry)

    def lose(self, lost: Lost) -> None:
        """A row with its reason; the first one counts."""
        if lost.refit or self.is_lost(lost.contender.name):
            return
        failure = Failure(lost.contender.name, lost.status, lost.reason, lost.seconds, lost.contender, lost.traceback)
        self.failures.append(failure)
        self.ended(failure)

    def is_lost(self, name: str) -> bool:
        return any(failure.name == name for failure in self.failures)

    def finished(self) -> list[str]:
        """The entries that have learned something."""
        return [entry.name for entry in self.entries if not isinstance(entry.contender, Constant)]

    def ranked(self) -> list[Entry]:
        """The entries, best first."""
        return sorted(self.entries, key=lambda entry: -self.metric.sign * entry.score)

    def marked(self) -> tuple[Entry, ...]:
        """The same, each but the best with the p-value that it scores as the best does."""
        ranked = self.ranked()
        rest = [replace(entry, noise=self.noises.get(entry.name, math.nan)) for entry in ranked[1:]]
        return (*ranked[:1], *rest)

    def members(self, entry: Entry) -> list[str]:
        """The fits that an entry's model is made of."""
        made = self.combined.get(entry.name)
        return list(made.members) if made else [entry.name]

    def best(self, truth: Truth, prefer: Prefer, costs: Callable[[list[Entry]], Mapping[str, Cost]]) -> Entry | None:
        """The winner among the entries: the first, or an ensemble that is not told apart from it; or whom one prefers.

        A mean of several models varies less than the one that did best on these rows, which also had the most luck.
        costs: of these entries, by name. None: there is no entry.
        """
        if not self.entries:
            return None
        ranked = self.ranked()
        first = ranked[0]
        answers = {entry.name: entry.predicted for entry in ranked}
        self.noises = compare(self.metric, truth, answers, first.name, seed=self.seed)
        if prefer != "best":
            name = preferred(list(answers), self.noises, costs(ranked), prefer)
            return next(entry for entry in ranked if entry.name == name)
        ensembles = (entry for entry in ranked if entry.name in self.combined)
        return next((e for e in ensembles if e is first or self.noises[e.name] >= TIED), first)
