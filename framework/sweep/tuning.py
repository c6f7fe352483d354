"""sweep(): a contender's trials on Ray Tune, within a deadline, to the best one's model."""

import hashlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cluster.connect import connect
from framework.contender import Contender, Context, Model
from framework.data.frame import Fold
from framework.metric import metric
from framework.search_space import Settings, Space
from framework.sweep.ledger import Ledger
from framework.sweep.member import Member
from framework.sweep.rungs import most_steps, rungs, scheduler
from framework.sweep.seats import Budget, share
from framework.sweep.trial import Trial

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # three files a trial that nobody reads: trials go to the tracker
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # the ledger is what a sweep goes on from
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
CLOSE_SECONDS = 2.5  # for Tune to end, and the best model to come home
CLOSE_SHARE = 0.05
EARLY_SECONDS = 1.0  # between two looks whether there is a model to open


@dataclass(frozen=True)
class Ask:
    """A sweep as it was asked for. queue: settings tried first. parallel: trials at once."""

    contender: Contender
    space: Space
    search: str
    scheduler: str | None
    trials: int
    queue: tuple[Settings, ...]
    parallel: int
    who: str


@dataclass(frozen=True)
class Swept:
    """The trials of a sweep by number, the best model and the fields that its contender was changed in; None where no
    trial finished."""

    trials: tuple[Trial, ...]
    found: dict[str, Any]
    model: Model | None


def sweep(ask: Ask, fold: Fold, context: Context) -> Swept:
    """Tries settings until there are enough trials or no time is left; every trial's end is told to `context.tried`.

    With `context.checkpoints` it goes on from the trials that lie there. Raises LedgerError when these are another
    sweep's.
    """
    import ray

    from framework.contest.attempt import unpack
    from framework.sweep.keeper import Keeper

    over = threading.Event()
    began = time.time()
    connect()  # the session that this process has; in a bare one, a session of its own
    larger = metric(fold.problem.metric).direction == "max"
    ledger = None
    if context.checkpoints is not None:
        ledger = Ledger.open(context.checkpoints, card_of(ask, fold, context.seed), who=ask.who)
    done = ledger.trials() if ledger is not None else []
    keeper = ray.remote(Keeper).options(num_cpus=0).remote(larger=larger, ledger=ledger)
    if done:
        context.remark(f"goes on from {len(done)} trials that ended before")

    def tell(trial: Trial) -> None:
        if ledger is not None:
            ledger.add(trial)
        context.tried(trial)

    try:
        ray.get(keeper.best.remote())  # it runs
        if context.remaining() < math.inf:
            opening = (keeper, over, context.remaining() / 2)
            threading.Thread(target=_open_early, args=opening, name="early", daemon=True).start()
        trials = _conduct(ask, fold, context, keeper=keeper, ledger=ledger, larger=larger, tell=tell, began=began)
        found, packed = ray.get(keeper.best.remote())
    finally:
        over.set()
        ray.kill(keeper)
    return Swept(tuple(trials), found, unpack(packed) if packed is not None else None)


def card_of(ask: Ask, fold: Fold, seed: int) -> dict[str, Any]:
    """What tells one sweep from another: the rows, the question, the contender, its space. Not how long it runs."""
    rows = hashlib.sha256()
    for part in (fold.train, fold.valid):
        rows.update(np.ascontiguousarray(part.y).tobytes())
    question = {"problem": repr(fold.problem), "columns": list(fold.schema.names), "rows": rows.hexdigest()}
    return {**question, "contender": repr(ask.contender), "space": repr(dict(ask.space)), "seed": seed}


def _conduct(
    ask: Ask,
    fold: Fold,
    context: Context,
    *,
    keeper: Any,
    ledger: Ledger | None,
    larger: bool,
    tell: Any,
    began: float,
) -> list[Trial]:
    """Runs Ray Tune to its end. Returns the trials, those that had ended before among them.

    ledger: what it goes on from. began: when the sweep did; what its processes took to start says how long a busy
    machine will take to end them.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray
    from ray import tune
    from ray.tune.search import BasicVariantGenerator

    from framework.sweep.population import SEARCHES, Population, Roll, bring_up
    from framework.sweep.searcher import Books, study
    from framework.sweep.work import Told, work

    for name in ("ray.tune", "ray.air", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    left = context.remaining()
    close = (
        math.inf if left == math.inf else min(CLOSE_SECONDS + CLOSE_SHARE * left + (time.time() - began) / 2, left / 2)
    )
    end = context.deadline - close if left != math.inf else left
    steps, inner = most_steps(ask.contender), ask.contender.resources
    plan = Population.of(ask.space, steps, ask.search) if ask.search in SEARCHES else None
    done = ledger.trials() if ledger is not None else []
    growing = _growing(ledger, done, context) if ledger is not None and plan is not None else []
    halted = ask.scheduler is not None
    told = Told(
        ask.contender,
        ray.put(fold),
        keeper,
        frozenset(rungs(steps)) if halted else frozenset(),
        context.seed,
        end,
        max(1, int(inner.cpus)),
        inner.gpus,
        plan,
        None if plan is None else ledger,
    )
    books = Books(
        ask.contender,
        ask.space,
        study=None if ask.search == "grid" else study(ask.search, larger=larger, seed=context.seed),
        queue=ask.queue,
        trials=ask.trials,
        ended=done,
        growing=growing,
        deadline=end,
        tell=tell,
        genes=None if plan is None else plan.genes,
    )
    each = share(inner)
    space: dict[str, Any] = {}
    search: Any = books
    roll: list[Any] = []
    if plan is not None:
        space, members = plan.members(books, growing)
        if not members:
            return done
        search, roll = BasicVariantGenerator(points_to_evaluate=members), [Roll(books)]
    budget = Budget({unit: amount * ask.parallel for unit, amount in each.items()})

    def run() -> None:
        with budget, TemporaryDirectory(prefix="sweep-", dir=context.folder, ignore_cleanup_errors=True) as folder:
            tune.Tuner(
                tune.with_resources(tune.with_parameters(work if plan is None else bring_up, told=told), each),
                param_space=space,
                tune_config=tune.TuneConfig(
                    metric="loss",
                    mode="min",
                    num_samples=ask.trials if plan is None else len(members),
                    search_alg=search,
                    scheduler=scheduler(ask.scheduler, steps) if plan is None else plan.scheduler(ask.search),
                    max_concurrent_trials=ask.parallel if plan is None else None,  # they take turns
                    reuse_actors=True,
                    time_budget_s=None if end == math.inf else max(1.0, end + close / 3 - time.time()),
                ),
                run_config=tune.RunConfig(
                    name="sweep", storage_path=str(Path(folder).absolute()), verbose=0, callbacks=roll
                ),
            ).fit()

    _wait(run, until=end + close / 2)
    books.close(ray.get(keeper.told.remote()))
    return sorted(books.done, key=lambda trial: trial.number)


def _growing(ledger: Ledger, done: list[Trial], context: Context) -> list[Member]:
    """The members of a population that were left when it was killed."""
    ended = {trial.number for trial in done}
    growing = [member for member in ledger.members() if member.number not in ended]
    if growing:
        looks = ", ".join(str(member.looks) for member in growing)
        context.remark(f"goes on with {len(growing)} members, after {looks} looks")
    return growing


def _open_early(keeper: Any, over: threading.Event, seconds: float) -> None:
    """Opens a model after so many seconds, while others are trained: to import its engine takes seconds on a busy
    machine, which are not there at the end."""
    import ray

    from framework.contest.attempt import unpack

    with suppress(ray.exceptions.RayError):  # the keeper has gone: the sweep is over
        while not over.wait(seconds):
            _, packed = ray.get(keeper.best.remote())
            if packed is not None:
                unpack(packed)
                return
            seconds = EARLY_SECONDS


def _wait(run: Callable[[], None], *, until: float) -> None:
    """Runs Tune until it returns, or past its time without it.

    On a busy machine it takes up to ten seconds to end its actors, which no deadline would allow; it then ends them
    while the best model is on its way home.
    """
    wrong: list[Exception] = []

    def guarded() -> None:
        try:
            run()
        except Exception as error:  # raised again below
            wrong.append(error)

    thread = threading.Thread(target=guarded, name="tune", daemon=True)
    thread.start()
    thread.join(None if until == math.inf else max(0.0, until - time.time()))
    if wrong:
        raise wrong[0]
