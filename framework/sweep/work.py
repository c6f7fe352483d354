"""A trial, in the process that it runs in: one fit of the contender, told to Ray Tune as it goes."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cluster.user_error import UserError
from framework.contender import Contender, Context
from framework.contest.attempt import pack
from framework.data.frame import Fold
from framework.metric import metric
from framework.scratch import scratch
from framework.search_space import changes, settled
from framework.sweep.trial import written

if TYPE_CHECKING:
    from framework.sweep.ledger import Ledger
    from framework.sweep.population import Population

PREFIX = "valid_"  # of what contenders report from the validation rows
LARGER = frozenset({"auc", "aucpr", "average_precision", "ndcg", "map", "pre"})  # engines' metrics; all others shrink


class TrialError(UserError):
    """A trial whose model is of no use."""


@dataclass(frozen=True)
class Told:
    """What every trial of a sweep is told. fold, keeper: references. rungs: the steps at which Tune is asked."""

    contender: Contender
    fold: Any
    keeper: Any
    rungs: frozenset[int]
    seed: int
    deadline: float
    threads: int
    gpus: float
    population: "Population | None" = None
    ledger: "Ledger | None" = None  # of a population's members


def work(config: dict[str, Any], told: Told) -> None:
    """Fits the contender with the settings of `config` and reports its score on the validation rows.

    At each rung Tune compares it with the other trials; where it stops this one, the report does not return (it raises
    SystemExit, which passes through the engine). A fit that raises is reported too: Tune would end this process, and
    starting another takes seconds.
    """
    from ray import tune

    try:
        tune.report(_fit(config, told))
    except Exception as error:  # the border between a contender and its sweep
        told_as = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        tune.report({"step": 0, "loss": math.inf, "failed": (told_as.strip() or "it failed").splitlines()[0]})


def _fit(config: dict[str, Any], told: Told) -> dict[str, Any]:
    """The last report of a trial."""
    import ray
    from ray import tune

    began, fold = time.time(), opened(told.fold)
    contender = settled(told.contender, config["settings"])
    ladder = Ladder(told.rungs, lambda step, loss: tune.report({"step": step, "loss": loss}))
    with scratch("trial") as folder:
        context = Context(
            seed=told.seed,
            deadline=told.deadline,
            folder=folder,
            threads=told.threads,
            gpus=told.gpus,
            sink=ladder.climb,
        )
        model = contender.fit(fold, context)
    scored = metric(fold.problem.metric)
    score = scored.score(fold.valid.truth, model.predict(fold.valid.X))
    if not math.isfinite(score):
        raise TrialError(f"its {scored.title} is {score} on the validation rows")
    found = changes(told.contender, contender.settled(model))
    loss = ladder.best if ladder.step else -scored.sign * score
    facts = {"score": float(score), "seconds": time.time() - began, "found": written(found)}
    ended = {"step": ladder.step + 1, "loss": loss, **facts}
    if ray.get(told.keeper.hear.remote(config["number"], ended)):
        ray.get(told.keeper.offer.remote(config["number"], score, found, pack(model)))
    return ended


@dataclass
class Ladder:
    """The way of one trial past the rungs. best: the least loss on the validation rows so far."""

    rungs: frozenset[int]
    ask: Any  # (step, best loss) → None
    best: float = math.inf
    step: int = 0

    def climb(self, step: int, metrics: Mapping[str, float]) -> None:
        """A report of the contender: `step` from 0."""
        loss = loss_of(metrics)
        if loss is None or math.isnan(loss):
            return
        before, self.step = self.step, step + 1
        self.best = min(self.best, loss)
        if any(before < rung <= self.step for rung in self.rungs):  # a group of workers may skip one
            self.ask(self.step, self.best)


def loss_of(metrics: Mapping[str, float]) -> float | None:
    """What a contender reported from the validation rows, smaller being better; None where it did not."""
    for name, value in metrics.items():
        if name.startswith(PREFIX):
            engine = name.removeprefix(PREFIX).split("@")[0]
            return -value if engine in LARGER else value
    return None


@lru_cache(maxsize=1)
def opened(fold: Any) -> Fold:
    """The rows, once in each process: an actor works off many trials."""
    import ray

    held: Fold = ray.get(fold)
    return held
