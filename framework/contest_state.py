"""A contest while it runs: who has been fit on what, who is ranked, who failed, and at last who has won."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from framework.attempt import Report, unpack
from framework.contender import Contender, Context, Model
from framework.contenders.blend import bagged, select
from framework.contenders.constant import Constant
from framework.contenders.ensemble import Combined, Ensemble
from framework.contenders.tuned import Tuned
from framework.data.frame import Truth
from framework.data.split import Split
from framework.leaderboard import Entry, Failure, Leaderboard, Winner, number
from framework.metric import Metric, metric
from framework.observer import Observer
from framework.predictor import Predictor
from framework.race import Done, Lost, Race
from framework.ranked_on import RankedOn
from framework.schedule import LEAST_SECONDS, Job, Schedule
from framework.statistics import Cost, Prefer, compare, gap, interval, preferred
from framework.statistics.preference import TIED

log = logging.getLogger(__name__)

REFIT_SHARE = 0.3  # of the contest's time, kept for fitting the winner once more on all rows but the test's
CLOSING_SHARE = 0.06  # of the time, kept for ensembles of what was fit on folds, and for the test
CLOSING_SECONDS = 4.0  # the same at the least, up to a fifth of the time: some forty models are opened


class ContestState:
    """The state of one contest while it runs."""

    def __init__(
        self, split: Split, held: list[np.ndarray], *, end: float, seed: int, observers: list[Observer]
    ) -> None:
        self.split, self.held, self.end, self.seed, self.observers = split, held, end, seed, observers
        self.metric: Metric = metric(split.problem.metric)
        self.ranked_on = RankedOn.of(split.fold, held)
        self.first = self.ranked_on.first() if held else self.ranked_on  # the first fold's rows alone
        # Folds of rows in no order are each as good as another: their models' mean is the model. A forecast's later
        # folds know less and less of the past: theirs is fit once more on all of it.
        self.bagged = bool(held) and split.problem.kind != "forecast"
        self.entries: list[Entry] = []
        self.failures: list[Failure] = []
        self.done: dict[str, dict[int, Done]] = {}  # contender → fold held out → its fit
        self.refits: dict[str, Any] = {}  # name → reference to the archive of the model fit once more
        self.combined: dict[str, Combined] = {}  # ensemble → what it is made of
        self.noises: dict[str, float] = {}  # of the entries but the best: the p-value that it scores as the best does

    @property
    def folds(self) -> int:
        return self.ranked_on.folds

    @property
    def truth(self) -> Truth:
        return self.ranked_on.truth

    def run(
        self, contenders: Sequence[Contender], *, cpus: float, refit: bool, prefer: Prefer, checkpoints: str | None
    ) -> Leaderboard:
        began = time.time()
        kept = self._kept(self.end - began, refit) if self.end < math.inf else 0.0
        # On one set of validation rows an ensemble with members of its own fits them by itself.
        ensembles = [c for c in contenders if isinstance(c, Ensemble) and (self.held or not c.members)]
        single = _spread(_with_members([c for c in contenders if c not in ensembles], ensembles), cpus)
        self._tell("entered", [*single, *ensembles])
        winner, interrupted = None, False
        with Race(
            self.split.fold, seed=self.seed, cpus=cpus, hear=self._heard, checkpoints=checkpoints, held=self.held
        ) as race:
            try:
                self._fit_all(race, single, until=self.end - kept)
                self._close_folds()
                self._combine(ensembles)
                best = self._best(prefer)
                if best and refit and not (self.bagged and self.folds > 1):
                    self._refit(race, self._members(best))
                winner = self._open_test(best) if best else None
            except KeyboardInterrupt:
                interrupted = True
                for lost in race.stop("interrupted"):
                    self._lose(lost)
                self._close_folds()
                best = self._best(prefer)
                winner = self._open_test(best) if best else None
        board = self._board(winner, seconds=time.time() - began, interrupted=interrupted)
        self._tell("closed", board)
        return board

    def _kept(self, seconds: float, refit: bool) -> float:
        """Of so many seconds those for what comes after the fits."""
        if self.bagged:
            return max(CLOSING_SHARE * seconds, min(CLOSING_SECONDS, seconds / 5))
        return REFIT_SHARE * seconds if refit else 0.0

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
                race.start(self._settled(job), seconds=job.seconds, until=limit, held=job.fold)
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

    def _settled(self, job: Job) -> Contender:
        """What is fit: of a sweep, after its first fold, what it found there."""
        swept = job.fold and isinstance(job.contender, Tuned)
        return self.done[job.contender.name][0].fit.settled if swept else job.contender

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
        if self.folds > 1 and done.held == 0:
            self._tell("reported", self._first_told(done))
        if len(folds) == self.folds:
            self._rank(name)
        return not self._is_lost(name)

    def _first_told(self, done: Done) -> Report:
        """How a contender did on the first fold: what there is to see until all of its folds are done."""
        score = number(self.metric.score(self.first.truth, done.fit.predicted))
        told = f"{score} on the first of {self.folds} folds ({done.fit.seconds:.1f} s)"
        return Report(done.contender.name, False, 0, {}, time.time(), remark=told)

    def _rank(self, name: str) -> None:
        fits = {held: self.done[name][held].fit for held in range(self.folds)}
        remarks = dict.fromkeys(remark for fit in fits.values() for remark in fit.remarks)
        predicted = self.ranked_on.joined({held: fit.predicted for held, fit in fits.items()})
        seconds, contender = sum(fit.seconds for fit in fits.values()), self.done[name][0].contender
        self._enter(contender, predicted, self.metric.score(self.truth, predicted), seconds, "; ".join(remarks))

    def _promising(self, names: list[str]) -> list[str]:
        """Contenders by what their first folds tell: those that a blend of all would weigh most, then the best."""
        answers = {name: fits[0].fit.predicted for name, fits in self.done.items() if 0 in fits}
        weights = select(answers, self.first.truth, self.metric)
        sign = 1 if self.metric.direction == "max" else -1
        scores = {name: sign * self.metric.score(self.first.truth, answers[name]) for name in names}
        return sorted(names, key=lambda name: (weights.get(name, 0.0), scores[name]), reverse=True)

    def _close_folds(self) -> None:
        """What has not been fit on all folds is a row with its reason; where something among it is clearly better
        than all that has, the first fold is what they are ranked on."""
        if self.folds == 1:
            return
        if not self._suffices():
            self.entries, self.ranked_on = [], self.first
            for name in [name for name, fits in self.done.items() if 0 in fits and not self._is_lost(name)]:
                self._rank(name)
            return
        for name, fits in self.done.items():
            if len(fits) < self.folds and not self._is_lost(name):
                reason = f"no time for all folds: {len(fits)} of {self.folds} were done"
                seconds = sum(done.fit.seconds for done in fits.values())
                self._lose(Lost(next(iter(fits.values())).contender, "not finished", reason, seconds, refit=False))

    def _suffices(self) -> bool:
        """Whether some entry is not told apart, on the first fold, from whoever did best there."""
        finished = [entry.name for entry in self.entries if not isinstance(entry.contender, Constant)]
        first = {
            name: fits[0].fit.predicted for name, fits in self.done.items() if 0 in fits and not self._is_lost(name)
        }
        if not finished:
            return False
        scores = {name: self.metric.score(self.first.truth, answers) for name, answers in first.items()}
        best = (max if self.metric.direction == "max" else min)(scores, key=scores.__getitem__)
        noises = compare(self.metric, self.first.truth, first, best, seed=self.seed)
        return any(name == best or not noises[name] < TIED for name in finished)

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

    def _combine(self, ensembles: list[Ensemble]) -> None:
        """Ensembles of what has finished; each scored on rows that nothing in it was chosen on."""
        fit = [e for e in self.entries if e.name in self.done and not isinstance(e.contender, Constant)]
        answers = {entry.name: entry.predicted for entry in fit}
        for ensemble in ensembles:
            began = time.time()
            asked = {m.name for m in ensemble.members} or set(answers)
            given = {name: answer for name, answer in answers.items() if name in asked}
            if len(given) < 2:
                self._lose(Lost(ensemble, "not started", "it needs two contenders that finished", 0.0, refit=False))
                continue
            context = Context(seed=self.seed, deadline=self.end, threads=max(1, int(ensemble.resources.cpus)))
            try:
                combined = ensemble.combine(given, self.ranked_on.frame, self.split.fold, context)
            except Exception as error:  # the border between an ensemble and its contest
                self._lose(Lost(ensemble, "failed", str(error), time.time() - began, refit=False))
                continue
            self.combined[ensemble.name] = combined
            score = self.metric.score(self.truth, combined.predicted)
            self._enter(ensemble, combined.predicted, score, time.time() - began, remark=combined.remark)

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

    def _open_test(self, best: Entry) -> Winner:
        """An entry as a model, and its score on the test rows, which are looked at here and nowhere else."""
        members = self._members(best)
        models = {name: self._model(name) for name in members}
        made = self.combined.get(best.name)
        model = made.make(models) if made else models[best.name]
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
        predicted, truth = model.predict(split.test.X), split.test.truth
        return Winner(
            name=best.name,
            predictor=Predictor(split.problem.name, split.problem, split.schema, model, facts),
            test_score=self.metric.score(truth, predicted),
            test_interval=interval(self.metric, truth, predicted, seed=self.seed),
            predicted=predicted,
            gap=gap(self.metric, (self.truth, best.predicted), (truth, predicted), seed=self.seed),
            refit=refit,
        )

    def _model(self, name: str) -> Model:
        """A contender's model: fit on all rows where it was, else the mean of its folds'."""
        import ray

        if name in self.refits:
            return unpack(ray.get(self.refits[name]))
        fits = [self.done[name][held] for held in range(self.folds if self.bagged else 1)]
        return bagged([unpack(ray.get(done.packed)) for done in fits])

    def _best(self, prefer: Prefer) -> Entry | None:
        """The winner among the entries: the first, or an ensemble that is not told apart from it; or whom one prefers.

        A mean of several models varies less than the one that did best on these rows, which also had the most luck.
        """
        if not self.entries:
            return None
        ranked = self._ranked()
        first = ranked[0]
        answers = {entry.name: entry.predicted for entry in ranked}
        self.noises = compare(self.metric, self.truth, answers, first.name, seed=self.seed)
        if prefer != "best":
            costs = {entry.name: self._cost(entry) for entry in ranked}
            name = preferred(list(answers), self.noises, costs, prefer)
            return next(entry for entry in ranked if entry.name == name)
        ensembles = (entry for entry in ranked if entry.name in self.combined)
        return next((e for e in ensembles if e is first or self.noises[e.name] >= TIED), first)

    def _cost(self, entry: Entry) -> Cost:
        fits = [done.fit for name in self._members(entry) for done in self.done[name].values()]
        return Cost(len(fits), sum(fit.bytes for fit in fits), sum(fit.answering for fit in fits))

    def _ranked(self) -> list[Entry]:
        return sorted(self.entries, key=lambda entry: entry.score, reverse=self.metric.direction == "max")

    def _members(self, entry: Entry) -> list[str]:
        """The fits that an entry's model is made of."""
        made = self.combined.get(entry.name)
        return list(made.members) if made else [entry.name]

    def _board(self, winner: Winner | None, *, seconds: float, interrupted: bool) -> Leaderboard:
        ranked = self._ranked()
        rest = [replace(entry, noise=self.noises.get(entry.name, math.nan)) for entry in ranked[1:]]
        entries = (*ranked[:1], *rest)
        return Leaderboard(
            self.split, entries, tuple(self.failures), winner, seconds, interrupted, ranked_on=self.ranked_on
        )

    def _heard(self, contender: Contender, report: Report) -> None:
        if report.metrics or report.remark:
            self._tell("reported", report)
        else:
            self._tell("began", contender.name)

    def _tell(self, event: str, what: Any) -> None:
        for observer in self.observers:
            getattr(observer, event)(what)


def _with_members(single: list[Contender], ensembles: list[Ensemble]) -> list[Contender]:
    """The contenders, and those members of ensembles that have not entered by themselves."""
    every = {contender.name: contender for contender in single}
    for ensemble in ensembles:
        every |= {member.name: member for member in ensemble.members if member.name not in every}
    return list(every.values())


def _spread(contenders: list[Contender], cpus: float) -> list[Contender]:
    """Contenders with more CPUs each where there are fewer of them than CPUs, so that none idles; no fit is given more
    than one node has."""
    import ray

    widest = max(node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])
    each = float(min(cpus // max(1, sum(c.resources.workers for c in contenders)), widest))
    if each <= 1:
        return contenders
    return [replace(c, cpus=each) if getattr(c, "cpus", None) == 1.0 else c for c in contenders]  # type: ignore[type-var]
