"""Ensembles enter a contest: made of what it has fit already."""

import time
from collections.abc import Sequence

from framework.contender import Context
from framework.contenders.constant import Constant
from framework.contenders.ensemble import Ensemble
from framework.contest.fits import Fits
from framework.contest.race import Lost
from framework.contest.ranking import Ranking


def combine(ensembles: Sequence[Ensemble], fits: Fits, ranking: Ranking, *, end: float) -> None:
    """Enters each in the ranking, scored on rows that nothing in it was chosen on, or its reason why it cannot be.

    end: when the contest is over, in seconds of `time.time()`.
    """
    finished = [e for e in ranking.entries if e.name in fits.done and not isinstance(e.contender, Constant)]
    answers = {entry.name: entry.predicted for entry in finished}
    for ensemble in ensembles:
        began = time.time()
        asked = {member.name for member in ensemble.members} or set(answers)
        given = {name: answer for name, answer in answers.items() if name in asked}
        if len(given) < 2:
            reason = "it needs two contenders that finished"
            ranking.lose(Lost(ensemble, "not started", reason, 0.0, refit=False))
            continue
        context = Context(seed=ranking.seed, deadline=end, threads=max(1, int(ensemble.resources.cpus)))
        try:
            combined = ensemble.combine(given, fits.ranked_on.frame, fits.split.fold, context)
        except Exception as error:  # the border between an ensemble and its contest
            ranking.lose(Lost(ensemble, "failed", str(error), time.time() - began, refit=False))
            continue
        ranking.combined[ensemble.name] = combined
        seconds = time.time() - began
        ranking.enter(ensemble, fits.truth, combined.predicted, seconds=seconds, remark=combined.remark)
