"""A contest while it runs: contenders are fit, ranked and put together, and at last one has won."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from framework.clusters import clusters_of, steadied
from framework.contender import Contender
from framework.contenders.ensemble import Ensemble
from framework.contenders.tuned import Tuned
from framework.contest.champion import crown
from framework.contest.ensembles import combine
from framework.contest.entrants import entrants
from framework.contest.first_fold import promising, suffices
from framework.contest.fits import Fits
from framework.contest.race import Done, Lost, Race
from framework.contest.ranking import Ranking
from framework.contest.refits import refit_all
from framework.contest.report import Report
from framework.contest.schedule import LEAST_SECONDS, Job, Schedule
from framework.data.split import Split
from framework.leaderboard import Leaderboard, Winner, number
from framework.metric import metric
from framework.observer import Observer
from framework.statistics import Prefer

REFIT_SHARE = 0.3  # of the contest's time, kept for fitting the winner once more on all rows but the test's
CLOSING_SHARE = 0.06  # of the time, kept for ensembles of what was fit on folds, and for the test
CLOSING_SECONDS = 4.0  # the same at the least, up to a fifth of the time: some forty models are opened


class ContestState:
    """The state of one contest while it runs."""

    def __init__(
        self, split: Split, held: list[np.ndarray], *, end: float, seed: int, observers: list[Observer]
    ) -> None:
        self.split, self.end, self.seed, self.observers = split, end, seed, observers
        self.metric = metric(split.problem.metric)
        self.fits = Fits.of(split, held)
        self.ranking = Ranking(self.metric, seed, ended=lambda row: self._tell("ended", row))

    def run(
        self, contenders: Sequence[Contender], *, cpus: float, refit: bool, prefer: Prefer, checkpoints: str | None
    ) -> Leaderboard:
        began, fits = time.time(), self.fits
        kept = self._kept(self.end - began, refit) if self.end < math.inf else 0.0
        # On one set of validation rows an ensemble with members of its own fits them by itself.
        ensembles = [c for c in contenders if isinstance(c, Ensemble) and (fits.held or not c.members)]
        single = entrants([c for c in contenders if c not in ensembles], ensembles, cpus=cpus)
        self._tell("entered", [*single, *ensembles])
        winner, interrupted = None, False
        with Race(
            self.split.fold, seed=self.seed, cpus=cpus, hear=self._heard, checkpoints=checkpoints, held=fits.held
        ) as race:
            try:
                self._fit_all(race, single, until=self.end - kept)
                self._close_folds()
                combine(ensembles, self.fits, self.ranking, end=self.end)
                again = refit and not (fits.means and fits.folds > 1)
                winner = self._win(prefer, race if again else None, until=self.end)
            except KeyboardInterrupt:
                interrupted = True
                for lost in race.stop("interrupted"):
                    self.ranking.lose(lost)
                self._close_folds()
                winner = self._win(prefer, None, until=time.time())
        entries, failures = self.ranking.marked(), tuple(self.ranking.failures)
        seconds = time.time() - began
        board = Leaderboard(self.split, entries, failures, winner, seconds, interrupted, ranked_on=self.fits.ranked_on)
        self._tell("closed", board)
        return board

    def _kept(self, seconds: float, refit: bool) -> float:
        """Of so many seconds those for what comes after the fits."""
        if self.fits.means:
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
                    self.ranking.lose(Lost(job.contender, "not started", "no time was left for it", 0.0, refit=False))
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
                        self.ranking.lose(outcome)

    def _settled(self, job: Job) -> Contender:
        """What is fit: of a sweep, after its first fold, what it found there."""
        swept = job.fold and isinstance(job.contender, Tuned)
        return self.fits.of_fold(job.contender.name).settled if swept else job.contender

    def _keep(self, done: Done) -> bool:
        """Keeps a fit, and enters its contender when that was the last one it lacked. False: it is lost."""
        name = done.contender.name
        if self.ranking.is_lost(name):
            return False
        if not np.isfinite(done.fit.predicted).all():
            reason = "it predicts values that are not finite"
            self.ranking.lose(Lost(done.contender, "failed", reason, done.fit.seconds, refit=False))
            return False
        whole = self.fits.add(done)
        if self.fits.folds > 1 and done.held == 0:
            self._tell("reported", self._first_told(done))
        if whole:
            self._rank(name)
        return not self.ranking.is_lost(name)

    def _first_told(self, done: Done) -> Report:
        """How a contender did on the first fold: what there is to see until all of its folds are done."""
        score = number(self.metric.score(self.fits.first.truth, done.fit.predicted))
        told = f"{score} on the first of {self.fits.folds} folds ({done.fit.seconds:.1f} s)"
        return Report(done.contender.name, False, 0, {}, time.time(), remark=told)

    def _rank(self, name: str) -> None:
        fits = self.fits
        self.ranking.enter(
            fits.contender(name),
            fits.truth,
            fits.predicted(name),
            seconds=fits.seconds(name),
            remark=fits.remark(name),
            files=fits.of_fold(name).kept,
        )

    def _promising(self, names: list[str]) -> list[str]:
        return promising(names, self.fits.on_first(), self.fits.first.truth, self.metric)

    def _close_folds(self) -> None:
        """What has not been fit on all folds is a row with its reason; where something among it is clearly better
        than all that has, the first fold is what they are ranked on."""
        fits, ranking = self.fits, self.ranking
        late = [name for name in fits.unfinished() if not ranking.is_lost(name)]
        if fits.folds == 1 or not late:
            return
        answers = {name: each for name, each in fits.on_first().items() if not ranking.is_lost(name)}
        if not suffices(ranking.finished(), answers, fits.first.truth, self.metric, seed=self.seed):
            fits.only_first()
            ranking.entries = []
            for name in answers:
                self._rank(name)
            return
        for name in late:
            done = len(fits.done[name])
            reason = f"no time for all folds: {done} of {fits.folds} were done"
            ranking.lose(Lost(fits.contender(name), "not finished", reason, fits.seconds(name), refit=False))

    def _win(self, prefer: Prefer, race: Race | None, *, until: float) -> Winner | None:
        """The winner, fit once more where there is a race to do it in; None: nobody finished."""
        fits, ranking = self.fits, self.ranking
        best = ranking.best(fits.truth, prefer, lambda tied: {e.name: fits.cost(ranking.members(e)) for e in tied})
        if best is None:
            return None
        best, steady = steadied(best, ranking, fits, prefer, until=until)
        members = ranking.members(best)
        if race is not None:
            refit_all(members, race, self.fits, end=self.end)
        winner = crown(best, members, ranking.combined.get(best.name), fits, seed=self.seed)
        if self.split.problem.kind != "clustering":
            return winner
        return replace(winner, clusters=clusters_of(best.name, winner.predictor.model, self.split, steady))

    def _heard(self, contender: Contender, report: Report) -> None:
        if report.metrics or report.remark:
            self._tell("reported", report)
        else:
            self._tell("began", contender.name)

    def _tell(self, event: str, what: Any) -> None:
        for observer in self.observers:
            getattr(observer, event)(what)
