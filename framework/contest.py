"""compete(): contenders on one Ray cluster, within a budget of minutes, to a leaderboard."""

import logging
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cluster.connect import Session, connect
from cluster.resources import Resources
from cluster.user_error import UserError
from framework.attempt import Fit, Report, unpack
from framework.contender import Contender
from framework.contenders.blend import Blend, BlendModel
from framework.data.split import Split
from framework.leaderboard import Entry, Failure, Leaderboard, Winner
from framework.metric import Metric, metric
from framework.observer import Observer
from framework.predictor import Predictor
from framework.race import Done, Lost, Race
from framework.statistics import interval, noise

log = logging.getLogger(__name__)

REFIT_SHARE = 0.3  # of the contest's time, kept for fitting the winner once more on all rows but the test's
FLOORS = 2  # the first contenders, which start whatever the time: there is always a leaderboard
FLOOR_SECONDS = 6.0  # what these get at the least
PATIENCE = 2.0  # how many times its even share of the time left one contender may take


TIED = 0.05  # the p-value from which two entries count as not told apart


class ContestError(UserError):
    """A contest that cannot start."""


def compete(
    contenders: Sequence[Contender],
    split: Split,
    *,
    minutes: float = 2.0,
    deadline: float | None = None,
    seed: int | None = None,
    workers: int | None = None,
    refit: bool = True,
    checkpoints: str | None = None,
    observers: Iterable[Observer] = (),
) -> Leaderboard:
    """Fits every contender on the split's fold, ranks them on its validation rows, and scores the winner on the test.

    minutes: wall clock for all of it, float("inf") for as long as it takes; deadline: the same as a moment of
    time.time(), which then counts.
    A contender that raises, is killed, or runs out of memory or time is a row with its reason. Ctrl-C ends the
    contest with the leaderboard so far. The winner is the entry with the best validation score, or a blend that the
    paired bootstrap does not tell apart from it.
    workers: CPUs that fits may use at once; all of the cluster's by default.
    refit: fit the winner once more on train and validation rows together, where time allows.
    checkpoints: a folder or URI that every node reaches: distributed fits keep their checkpoints there, and a contest
    that finds some of an earlier one there goes on from them (same split and contenders: that is the caller's promise).
    Raises ContestError for an empty list, two of one name, or a contender that cannot answer this kind of question;
    ResourcesError for a contender that the cluster can never hold.
    """
    end = deadline if deadline is not None else time.time() + 60 * minutes
    session = connect()
    _check(contenders, split, session)
    cpus = session.cpus
    if workers is not None:
        if workers < 1:
            raise ContestError(f"workers is {workers}; a contest needs one CPU at least. Leave it out for all.")
        Resources(workers=workers).check(session.resources, who="the contest")
        cpus = float(workers)
    contest = _Contest(split, end=end, seed=split.seed if seed is None else seed, observers=list(observers))
    return contest.run(contenders, cpus=cpus, refit=refit, checkpoints=checkpoints)


class _Contest:
    """The state of one contest while it runs."""

    def __init__(self, split: Split, *, end: float, seed: int, observers: list[Observer]) -> None:
        self.split, self.end, self.seed, self.observers = split, end, seed, observers
        self.metric: Metric = metric(split.problem.metric)
        self.truth = split.fold.valid.truth
        self.entries: list[Entry] = []
        self.failures: list[Failure] = []
        self.fits: dict[str, Fit] = {}
        self.packed: dict[str, Any] = {}  # name → reference to the model's archive
        self.refitted: set[str] = set()
        self.weights: dict[str, dict[str, float]] = {}  # blend → its members' weights
        self.noises: dict[tuple[str, str], float] = {}

    def run(self, contenders: Sequence[Contender], *, cpus: float, refit: bool, checkpoints: str | None) -> Leaderboard:
        began = time.time()
        kept = (self.end - began) * REFIT_SHARE if refit and self.end < math.inf else 0.0
        blends = [c for c in contenders if isinstance(c, Blend) and not c.members]
        single = _spread([c for c in contenders if c not in blends], cpus)
        self._tell("entered", [*single, *blends])
        winner, interrupted = None, False
        with Race(self.split.fold, seed=self.seed, cpus=cpus, hear=self._heard, checkpoints=checkpoints) as race:
            try:
                self._fit_all(race, single, until=self.end - kept)
                self._blend(blends)
                if self.entries and refit:
                    self._refit(race, list(self._members(self._best())))
                winner = self._open_test() if self.entries else None
            except KeyboardInterrupt:
                interrupted = True
                for lost in race.stop("interrupted"):
                    self._lose(lost)
                winner = self._open_test() if self.entries else None
        board = self._board(winner, seconds=time.time() - began, interrupted=interrupted)
        self._tell("closed", board)
        return board

    def _fit_all(self, race: Race, contenders: list[Contender], *, until: float) -> None:
        """Every contender once, on the training rows; the first ones whatever the time."""
        waiting = list(contenders)
        while waiting or race.running:
            while waiting and race.has_room(waiting[0]):
                contender = waiting.pop(0)
                least = FLOOR_SECONDS if contender in contenders[:FLOORS] else 0.0
                left = max(until - time.time(), least)
                if left < 1.0:
                    self._lose(Lost(contender, "not started", "no time was left for it", 0.0, refit=False))
                    continue
                share = PATIENCE * left * race.cpus / (1 + len(waiting) + len(race.running))
                race.start(contender, seconds=max(min(share, left), least), until=time.time() + left)
            self._take(race)

    def _take(self, race: Race) -> None:
        for outcome in race.poll():
            if isinstance(outcome, Lost):
                self._lose(outcome)
            elif outcome.refit:
                self.packed[outcome.contender.name] = outcome.packed
                self.refitted.add(outcome.contender.name)
            else:
                self._score(outcome)

    def _score(self, done: Done) -> None:
        predicted, seconds = done.fit.predicted, done.fit.seconds
        if not np.isfinite(predicted).all():
            self._lose(Lost(done.contender, "failed", "it predicts values that are not finite", seconds, refit=False))
            return
        self.fits[done.contender.name], self.packed[done.contender.name] = done.fit, done.packed
        told = "; ".join(done.fit.remarks)
        self._enter(done.contender, predicted, self.metric.score(self.truth, predicted), seconds, told)

    def _enter(
        self, contender: Contender, predicted: np.ndarray, score: float, seconds: float, remark: str = ""
    ) -> None:
        if not math.isfinite(score):
            reason = f"its {self.metric.title} is {score} on the validation rows"
            self._lose(Lost(contender, "failed", reason, seconds, refit=False))
            return
        band = interval(self.metric, self.truth, predicted, seed=self.seed)
        entry = Entry(contender.name, score, band, seconds, contender, predicted, remark=remark)
        self.entries.append(entry)
        self._tell("ended", entry)

    def _lose(self, lost: Lost) -> None:
        if lost.refit:
            log.info("%s: not refit (%s: %s)", lost.contender.name, lost.status, lost.reason)
            return
        failure = Failure(lost.contender.name, lost.status, lost.reason, lost.seconds, lost.contender, lost.traceback)
        self.failures.append(failure)
        self._tell("ended", failure)

    def _blend(self, blends: list[Blend]) -> None:
        """Ensembles of what has finished; each scored on rows that its weights were not chosen on."""
        for blend in blends:
            began = time.time()
            answers = {entry.name: entry.predicted for entry in self.entries if entry.name in self.packed}
            if len(answers) < 2:
                self._lose(Lost(blend, "not started", "it needs two contenders that finished", 0.0, refit=False))
                continue
            mixed = blend.select(answers, self.truth, self.metric, seed=self.seed)
            self.weights[blend.name] = mixed.weights
            members = " + ".join(f"{weight:.2f} {name}" for name, weight in mixed.weights.items())
            self._enter(blend, mixed.predicted, mixed.score, time.time() - began, remark=members)

    def _refit(self, race: Race, names: list[str]) -> None:
        """These once more, with the validation rows among the training rows, where time allows."""
        more = 1 + len(self.split.fold.valid) / max(1, len(self.split.fold.train))
        for name in sorted(names, key=lambda n: self.fits[n].seconds):
            expected, left = 1.0 + 1.3 * more * self.fits[name].seconds, self.end - time.time()
            if expected < left:
                race.start(self.fits[name].settled, seconds=left, until=self.end, refit=True)
            else:
                log.info("%s: not refit, it would take %.0f s and %.0f s are left", name, expected, left)
        while race.running:
            self._take(race)

    def _open_test(self) -> Winner:
        """The best entry as a model, and its score on the test rows, which are looked at here and nowhere else."""
        import ray

        best = self._best()
        members = self._members(best)
        models = {name: unpack(ray.get(self.packed[name])) for name in members}
        model = BlendModel(models, members) if len(models) > 1 else next(iter(models.values()))
        split, refit = self.split, set(members) <= self.refitted
        facts = {
            "contender": best.name,
            "members": members,
            "refit": refit,
            "fingerprint": split.fingerprint,
            "seed": self.seed,
            "validation_score": best.score,
        }
        predicted = model.predict(split.test.X)
        return Winner(
            name=best.name,
            predictor=Predictor(split.problem.name, split.problem, split.schema, model, facts),
            test_score=self.metric.score(split.test.truth, predicted),
            test_interval=interval(self.metric, split.test.truth, predicted, seed=self.seed),
            predicted=predicted,
            refit=refit,
        )

    def _best(self) -> Entry:
        """The winner among the entries: the first, or a blend that is not told apart from it.

        A mean of several models varies less than the one that did best on these rows, which also had the most luck.
        """
        first, *rest = self._ranked()
        blends = (entry for entry in rest if len(self._members(entry)) > 1)
        return next((blend for blend in blends if self._noise(first, blend) >= TIED), first)

    def _noise(self, first: Entry, other: Entry) -> float:
        """The winner's choice and the board ask for the same pairs: the bootstrap is done once for each."""
        pair = (first.name, other.name)
        if pair not in self.noises:
            self.noises[pair] = noise(self.metric, self.truth, first.predicted, other.predicted, seed=self.seed)
        return self.noises[pair]

    def _ranked(self) -> list[Entry]:
        return sorted(self.entries, key=lambda entry: entry.score, reverse=self.metric.direction == "max")

    def _members(self, entry: Entry) -> dict[str, float]:
        """The fits that an entry's model is made of, with their weights."""
        return self.weights.get(entry.name, {entry.name: 1.0})

    def _board(self, winner: Winner | None, *, seconds: float, interrupted: bool) -> Leaderboard:
        ranked = self._ranked()
        rest = [replace(entry, noise=self._noise(ranked[0], entry)) for entry in ranked[1:]]
        return Leaderboard(self.split, (*ranked[:1], *rest), tuple(self.failures), winner, seconds, interrupted)

    def _heard(self, contender: Contender, report: Report) -> None:
        if report.metrics or report.remark:
            self._tell("reported", report)
        else:
            self._tell("began", contender.name)

    def _tell(self, event: str, what: Any) -> None:
        for observer in self.observers:
            getattr(observer, event)(what)


def _check(contenders: Sequence[Contender], split: Split, session: Session) -> None:
    if not contenders:
        raise ContestError("no contender entered. Pass at least one, or framework.lineup.line_up(split).")
    names = [contender.name for contender in contenders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ContestError(f"two contenders are called {twice[0]!r}. Give one another name: replace(it, name=…).")
    kind = split.problem.kind
    for contender in contenders:
        if kind not in contender.kinds:
            takes = ", ".join(sorted(contender.kinds))
            raise ContestError(f"{contender.name} cannot answer a {kind} question; it takes {takes}. Leave it out.")
        contender.resources.check(session.resources, who=contender.name)
    metric(split.problem.metric).check(kind)


def _spread(contenders: list[Contender], cpus: float) -> list[Contender]:
    """Contenders with more CPUs each where there are fewer of them than CPUs, so that none idles."""
    each = float(cpus // max(1, sum(c.resources.workers for c in contenders)))
    if each <= 1:
        return contenders
    return [replace(c, cpus=each) if getattr(c, "cpus", None) == 1.0 else c for c in contenders]  # type: ignore[type-var]
