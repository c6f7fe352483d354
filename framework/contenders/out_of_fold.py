"""What each member says of rows that it has not learned from, every row of train held out in its turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework.contender import Contender, Context, Model
from framework.contenders.blend import bagged
from framework.contenders.ensemble import check_left, lent
from framework.contenders.inner_folds import Part, deal
from framework.contenders.member_fits import Fit, Job, fit_all
from framework.data.frame import Fold


@dataclass(frozen=True)
class OutOfFold:
    """rows: of `fold.train`, those that were held out, sorted. answers: member → its predictions of them, the mean of
    the repeats. models: what to ask about new rows. settled: the members as they would be fit once more.
    """

    rows: np.ndarray
    answers: dict[str, np.ndarray]
    models: dict[str, Model]
    settled: dict[str, Contender]


def out_of_fold(
    members: Sequence[Contender],
    fold: Fold,
    *,
    who: str,
    folds: int = 5,
    repeats: int = 1,
    context: Context,
    workers: int = 1,
    least: int = 2,
) -> OutOfFold:
    """Each member fit once for each fold of `fold.train` (`deal`) and each repeat, asked about the rows held out.

    Its model is the mean of all these fits'. In order of time it is one more fit on all rows of train, as it is
    settled: a model of the oldest rows alone would know less than it could.
    workers: fits at once, each a Ray task; 1: one after the other in this process.
    A member that fails, or is not done by the deadline, is left out with a remark.
    Raises EnsembleError naming each reason when fewer than `least` are left; DataError where rows cannot be dealt.
    """
    chained = fold.problem.time is not None
    times = range(1 if chained else repeats)
    parts = [part for repeat in times for part in deal(fold, folds, seed=context.seed + repeat)]
    lost: dict[str, str] = {}
    first = lent(context, len(parts) / (len(parts) + 1)) if chained else context
    jobs = [Job(member, place, part) for member in members for place, part in enumerate(parts)]
    fits = fit_all(jobs, fold, first, workers=workers, lost=lost)
    settled = {member.name: fits[member.name, len(parts) - 1].settled for member in members if member.name not in lost}
    whole: dict[tuple[str, int], Fit] = {}
    if chained:
        every = Part(np.arange(len(fold.train)), np.arange(0))
        whole = fit_all([Job(each, 0, every) for each in settled.values()], fold, context, workers=workers, lost=lost)
    for name, reason in lost.items():
        context.remark(f"without {name}: {reason}")
    left = [member.name for member in members if member.name not in lost]
    check_left(left, lost, who=who, least=least)
    rows = np.unique(np.concatenate([part.held for part in parts]))
    answers, models = {}, {}
    for name in left:
        each = [fits[name, place] for place in range(len(parts))]
        answers[name] = _averaged(rows, parts, [fit.predicted for fit in each])
        models[name] = whole[name, 0].model if chained else bagged([fit.model for fit in each])
    return OutOfFold(rows, answers, models, {name: settled[name] for name in left})


def _averaged(rows: np.ndarray, parts: Sequence[Part], predicted: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of what was predicted of each row, in the order of `rows`."""
    total = np.zeros((len(rows), *predicted[0].shape[1:]))
    counts = np.zeros(len(rows))
    for part, told in zip(parts, predicted, strict=True):
        place = np.searchsorted(rows, part.held)
        total[place] += told
        counts[place] += 1
    return np.asarray(total / counts.reshape(-1, *[1] * (total.ndim - 1)))
