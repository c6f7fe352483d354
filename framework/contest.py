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
from framework.attempt import Report, unpack
from framework.contender import Contender, Model
from framework.contenders.blend import Blend, BlendModel, bagged, select
from framework.contenders.constant import Constant
from framework.data.frame import Truth
from framework.data.kfold import k_fold
from framework.data.split import Split
from framework.leaderboard import Entry, Failure, Leaderboard, Winner
from framework.metric import Metric, metric
from framework.observer import Observer
from framework.predictor import Predictor
from framework.race import Done, Lost, Race
from framework.ranked_on import RankedOn
from framework.schedule import LEAST_SECONDS, Schedule
from framework.statistics import interval, noise

log = logging.getLogger(__name__)

REFIT_SHARE = 0.3  # of the contest's time, kept for fitting the winner once more on all rows but the test's
CLOSING_SHARE = 0.06  # of the time, kept for blending what was fit on folds, and for the test
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
    folds: int = 1,
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
    folds: from 2, every contender is fit once for each fold of train and validation rows together, ranked on all of
    these rows, each predicted by the model that has not seen it, and its model is the mean of its folds'. A contender
    whose folds cannot all be done in time is ranked no further than its first; where that is so for all, the first
    fold's rows are those ranked on. 1: the split's own validation rows.
    refit: fit the winner once more on train and validation rows together, where time allows and one model is one fit.
    checkpoints: a folder or URI that every node reaches: distributed fits keep their checkpoints there, and a contest
    that finds some of an earlier one there goes on from them (same split and contenders: that is the caller's promise).
    Raises DataError for rows that cannot be dealt into folds; ContestError for an empty list, two of one name, or a
    contender that cannot answer this kind of question; ResourcesError for a contender that the cluster can never hold.
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
    seed = split.seed if seed is None else seed
    held = k_fold(split.fold, folds, seed=seed) if folds != 1 else []
    contest = _Contest(split, held, end=end, seed=seed, observers=list(observers))
    return contest.run(contenders, cpus=cpus, refit=refit, checkpoints=checkpoints)


class _Contest:
    """The state of one contest while it runs."""

    def __init__(
        self, split: Split, held: list[np.ndarray], *, end: float, seed: int, observers: list[Observer]
    ) -> None:
        self.split, self.held, self.end, self.seed, self.observers = split, held, end, seed, observers
        self.metric: Metric = metric(split.problem.metric)
        self.ranked_on = RankedOn.of(split.fold, held)
        self.entries: list[Entry] = []
        self.failures: list[Failure] = []
        self.done: dict[str, dict[int, Done]] = {}  # contender → fold held out → its fit
        self.refits: dict[str, Any] = {}  # name → reference to the archive of the model fit once more
        self.weights: dict[str, dict[str, float]] = {}  # blend → its members' weights
        self.noises: dict[tuple[str, str], float] = {}

    @property
    def folds(self) -> int:
        return self.ranked_on.folds

    @property
    def truth(self) -> Truth:
        return self.ranked_on.truth

    def run(self, contenders: Sequence[Contender], *, cpus: float, refit: bool, checkpoints: str | None) -> Leaderboard:
        began = time.time()
        share = CLOSING_SHARE if self.held else REFIT_SHARE if refit else 0.0
        kept = (self.end - began) * share if self.end < math.inf else 0.0
        blends = [c for c in contenders if isinstance(c, Blend) and not c.members]
        single = _spread([c for c in contenders if c not in blends], cpus)
        self._tell("entered", [*single, *blends])
        winner, interrupted = None, False
        with Race(
            self.split.fold, seed=self.seed, cpus=cpus, hear=self._heard, checkpoints=checkpoints, held=self.held
        ) as race:
            try:
                self._fit_all(race, single, until=self.end - kept)
                self._close_folds()
                self._blend(blends)
                if self.entries and refit and self.folds == 1:
                    self._refit(race, list(self._members(self._best())))
                winner = self._open_test() if self.entries else None
            except KeyboardInterrupt:
                interrupted = True
                for lost in race.stop("interrupted"):
                    self._lose(lost)
                self._close_folds()
                winner = self._open_test() if self.entries else None
        board = self._board(winner, seconds=time.time() - began, interrupted=interrupted)
        self._tell("closed", board)
        return board

    def _fit_all(self, race: Race, contenders: list[Contender], *, until: float) -> None:
        """Every contender, on the training rows or on each fold; the first ones whatever the time."""
        schedule = Schedule(
            contenders,
            folds=len(race.held) or 1,
            cpus=race.cpus,
            began=time.time(),
            until=until,
            promising=self._promising,
        )
        while True:
            while (job := schedule.next(time.time(), running=len(race.running))) and race.has_room(job.contender):
                schedule.started(job)
                if job.seconds < LEAST_SECONDS:
                    self._lose(Lost(job.contender, "not started", "no time was left for it", 0.0, refit=False))
                    continue
                limit = max(until, time.time() + job.seconds)
                race.start(job.contender, seconds=job.seconds, until=limit, held=job.fold)
            if job is None and not race.running:
                return
            for outcome in race.poll():
                name = outcome.contender.name
                if isinstance(outcome, Done) and self._keep(outcome):
                    schedule.ended(name, outcome.fit.seconds)
                else:
                    schedule.lost(name)
                    if isinstance(outcome, Lost):
                        self._lose(outcome)

    def _is_lost(self, name: str) -> bool:
        return any(failure.name == name for failure in self.failures)

    def _keep(self, done: Done) -> bool:
        """Keeps a fit, and enters its contender when that was the last one it lacked. False: it is lost."""
        name, predicted = done.contender.name, done.fit.predicted
        if self._is_lost(name):
            return False
        if not np.isfinite(predicted).all():
            reason = "it predicts values that are not finite"
            self._lose(Lost(done.contender, "failed", reason, done.fit.seconds, refit=False))
            return False
        folds = self.done.setdefault(name, {})
        folds[done.held] = done
        if len(folds) == self.folds:
            self._rank(name)
        return not self._is_lost(name)

    def _rank(self, name: str) -> None:
        fits = {held: self.done[name][held].fit for held in range(self.folds)}
        remarks = dict.fromkeys(remark for fit in fits.values() for remark in fit.remarks)
        predicted = self.ranked_on.joined({held: fit.predicted for held, fit in fits.items()})
        seconds, contender = sum(fit.seconds for fit in fits.values()), self.done[name][0].contender
        self._enter(contender, predicted, self.metric.score(self.truth, predicted), seconds, "; ".join(remarks))

    def _promising(self, names: list[str]) -> list[str]:
        """Contenders by what their first folds tell: those that a blend of all would weigh most, then the best."""
        first = self.ranked_on.first()
        answers = {name: fits[0].fit.predicted for name, fits in self.done.items() if 0 in fits}
        weights = select(answers, first.truth, self.metric)
        sign = 1 if self.metric.direction == "max" else -1
        scores = {name: sign * self.metric.score(first.truth, answers[name]) for name in names}
        return sorted(names, key=lambda name: (weights.get(name, 0.0), scores[name]), reverse=True)

    def _close_folds(self) -> None:
        """What has not been fit on all folds is a row with its reason; where that is all there is, the first fold is
        what they are ranked on."""
        if self.folds == 1:
            return
        if all(isinstance(entry.contender, Constant) for entry in self.entries):
            self.entries, self.ranked_on = [], self.ranked_on.first()
            for name in [name for name, fits in self.done.items() if 0 in fits and not self._is_lost(name)]:
                self._rank(name)
            return
        for name, fits in self.done.items():
            if len(fits) < self.folds and not self._is_lost(name):
                reason = f"no time for all folds: {len(fits)} of {self.folds} were done"
                seconds = sum(done.fit.seconds for done in fits.values())
                self._lose(Lost(next(iter(fits.values())).contender, "not finished", reason, seconds, refit=False))

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
        if lost.refit or self._is_lost(lost.contender.name):
            return
        failure = Failure(lost.contender.name, lost.status, lost.reason, lost.seconds, lost.contender, lost.traceback)
        self.failures.append(failure)
        self._tell("ended", failure)

    def _blend(self, blends: list[Blend]) -> None:
        """Ensembles of what has finished; each scored on rows that its weights were not chosen on."""
        for blend in blends:
            began = time.time()
            fit = [e for e in self.entries if e.name in self.done and not isinstance(e.contender, Constant)]
            answers = {entry.name: entry.predicted for entry in fit}
            if len(answers) < 2:
                self._lose(Lost(blend, "not started", "it needs two contenders that finished", 0.0, refit=False))
                continue
            mixed = blend.select(answers, self.truth, self.metric, seed=self.seed)
            self.weights[blend.name] = mixed.weights
            members = " + ".join(f"{weight:.2f} {name}" for name, weight in mixed.weights.items())
            self._enter(blend, mixed.predicted, mixed.score, time.time() - began, remark=members)

    def _refit(self, race: Race, names: list[str]) -> None:
        """These once more, with the validation rows among the training rows, where time allows."""
        more = 1 + len(self.truth) / max(1, len(self.split.fold.train))
        fits = {name: self.done[name][0].fit for name in names}
        for name in sorted(names, key=lambda n: fits[n].seconds):
            expected, left = 1.0 + 1.3 * more * fits[name].seconds, self.end - time.time()
            if expected < left:
                race.start(fits[name].settled, seconds=left, until=self.end, refit=True)
            else:
                log.info("%s: not refit, it would take %.0f s and %.0f s are left", name, expected, left)
        while race.running:
            for outcome in race.poll():
                if isinstance(outcome, Done):
                    self.refits[outcome.contender.name] = outcome.packed
                else:
                    log.info("%s: not refit (%s: %s)", outcome.contender.name, outcome.status, outcome.reason)

    def _open_test(self) -> Winner:
        """The best entry as a model, and its score on the test rows, which are looked at here and nowhere else."""
        best = self._best()
        members = self._members(best)
        models = {name: self._model(name) for name in members}
        model = BlendModel(models, members) if len(models) > 1 else next(iter(models.values()))
        split, refit = self.split, set(members) <= set(self.refits)
        facts = {
            "contender": best.name,
            "members": members,
            "folds": self.folds,
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

    def _model(self, name: str) -> Model:
        """A contender's model: fit on all rows where it was, else the mean of its folds'."""
        import ray

        if name in self.refits:
            return unpack(ray.get(self.refits[name]))
        fits = [self.done[name][held] for held in range(self.folds)]
        return bagged([unpack(ray.get(done.packed)) for done in fits])

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
        return Leaderboard(
            self.split, (*ranked[:1], *rest), tuple(self.failures), winner, seconds, interrupted, folds=self.folds
        )

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
