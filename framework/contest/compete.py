"""compete(): contenders on one Ray cluster, within a budget of minutes, to a leaderboard."""

import logging
import time
from collections.abc import Iterable, Sequence

from cluster.connect import Session, connect
from cluster.resources import Resources, living_nodes
from cluster.user_error import UserError
from framework.contender import Checked, Contender
from framework.contenders.ensemble import Ensemble
from framework.contest.state import ContestState
from framework.data.kfold import held_out
from framework.data.split import Split
from framework.leaderboard import Leaderboard
from framework.lineup import folds_for
from framework.metric import metric
from framework.observer import Observer
from framework.statistics import Prefer
from framework.statistics.preference import check_preference

log = logging.getLogger(__name__)


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
    folds: int | None = 1,
    refit: bool = True,
    prefer: Prefer = "best",
    checkpoints: str | None = None,
    observers: Iterable[Observer] = (),
) -> Leaderboard:
    """Fits every contender on the split's fold, ranks them on its validation rows, and scores the winner on the test.

    minutes: wall clock for all of it, float("inf") for as long as it takes; deadline: the same as a moment of
    time.time(), which then counts.
    A contender that raises, is killed, or runs out of memory or time is a row with its reason. Ctrl-C ends the
    contest with the leaderboard so far. The winner is the entry with the best validation score, or a blend that is not
    told apart from it. Its probabilities are calibrated where that helps, its values come with 90 % intervals.
    workers: CPUs that fits may use at once; all of the cluster's by default.
    folds: from 2, every contender is fit once for each fold of train and validation rows together, ranked on all of
    these rows, each predicted by the model that has not seen it, and its model is the mean of its folds'. A contender
    whose folds cannot all be done in time is ranked no further than its first; where one of these is clearly better
    there than all that are done, the first fold's rows are those ranked on. Rows in order of time: each fold is a block
    learned from its past alone, and the winner is fit on all. 1: the split's own validation rows. None: as rows, time
    and CPUs allow.
    refit: fit the winner once more on train and validation rows together, where time allows and one model is one fit.
    prefer: "simple": of the entries not told apart from the best that of the fewest and smallest models wins; "fast":
    that which answers soonest.
    checkpoints: a folder or URI that every node reaches: distributed fits keep their checkpoints there, and a contest
    that finds some of an earlier one there goes on from them (same split and contenders: that is the caller's promise).
    Raises DataError for rows that cannot be dealt into folds; ContestError for an empty list, two of one name, or a
    contender that cannot answer this kind of question; ResourcesError for a contender that the cluster can never hold;
    what `check` raises for one whose settings contradict one another, such as a sweep of an empty search space.
    """
    end = deadline if deadline is not None else time.time() + 60 * minutes
    check_preference(prefer)
    session = connect()
    _check(contenders, split, session)
    cpus = session.cpus
    if workers is not None:
        if workers < 1:
            raise ContestError(f"workers is {workers}; a contest needs one CPU at least. Leave it out for all.")
        Resources(workers=workers).check(session.resources, who="the contest")
        cpus = float(workers)
    seed = split.seed if seed is None else seed
    if folds is None:
        folds = folds_for(split, seconds=end - time.time(), cpus=cpus)
        log.info("the contest is held on %d fold%s and %g CPUs", folds, "s"[: folds != 1], cpus)
    held = held_out(split.fold, folds, seed=seed) if folds != 1 else []
    contest = ContestState(split, held, end=end, seed=seed, observers=list(observers))
    return contest.run(contenders, cpus=cpus, refit=refit, prefer=prefer, checkpoints=checkpoints)


def _check(contenders: Sequence[Contender], split: Split, session: Session) -> None:
    if not contenders:
        raise ContestError("no contender entered. Pass at least one, or framework.lineup.line_up(split).")
    names = [contender.name for contender in contenders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ContestError(f"two contenders are called {twice[0]!r}. Give one another name: replace(it, name=…).")
    entered = {contender.name: contender for contender in contenders}
    members = [member for each in contenders if isinstance(each, Ensemble) for member in each.members]
    for member in members:
        if entered.get(member.name, member) != member:
            raise ContestError(
                f"{member.name!r} enters with other settings than an ensemble's member of that name. Give one another "
                f"name: replace(it, name=…)."
            )
    kind, nodes = split.problem.kind, living_nodes()
    for contender in [*contenders, *members]:
        if kind not in contender.kinds:
            takes = ", ".join(sorted(contender.kinds))
            raise ContestError(f"{contender.name} cannot answer a {kind} question; it takes {takes}. Leave it out.")
        contender.resources.check(session.resources, who=contender.name, nodes=nodes)
        if isinstance(contender, Checked):
            contender.check()
    metric(split.problem.metric).check(kind)
