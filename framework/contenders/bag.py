"""One contender many times, each on another part of the rows: "Bagging predictors" (Breiman 1996)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from cluster.resources import Resources
from framework.contender import Contender, Context, Model
from framework.contenders.blend import BlendModel, bagged
from framework.contenders.ensemble import EnsembleError, check_members, lent, resources_of
from framework.contenders.inner_folds import Part, deal
from framework.data.frame import Fold, Frame
from framework.metric import metric
from framework.problem import Kind

LEAST_SECONDS = 0.2  # that must be left to begin another fit
LEAST_SHARE = 0.25  # of the time left, for one fit: where time is short, a few good ones are better than many


@dataclass(frozen=True)
class Bag:
    """The mean of `contender` fit on all but one of the folds, for each of them in turn; the rows left out stop it.

    draws: from 1, so many bootstrap samples in the place of the folds (whole groups are drawn where there are groups);
    rows not drawn stop it. In order of time always as many draws as there are folds or draws: what stops it is then
    the fold's own validation rows.
    What has been fit by the deadline counts. The score of the rows, each answered by the fits that had not seen it, is
    told on the way.
    """

    contender: Contender
    folds: int = 8
    draws: int = 0
    name: str = ""
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"bag/{self.contender.name}")

    @property
    def resources(self) -> Resources:
        return resources_of([self.contender], self.cpus)

    def fit(self, fold: Fold, context: Context) -> Model:
        """Raises EnsembleError for fewer than two folds, or a contender that does not take such a question."""
        check_members([self.contender], fold, who=self.name, least=1)
        if self.draws < 0 or (not self.draws and self.folds < 2):
            raise EnsembleError(
                f"{self.name} has folds={self.folds} and draws={self.draws}; it needs 2 folds or a draw."
            )
        timed = fold.problem.time is not None
        fits, parts = self._parts(fold, context.seed)
        seen = _Seen(fold.train)
        models: list[Model] = []
        settled = self.contender
        for place, part in enumerate(parts):
            if models and context.remaining() < LEAST_SECONDS:
                context.remark(f"{len(models)} of {fits} fits were done in time")
                break
            given = replace(lent(context, max(LEAST_SHARE, 1 / (fits - place))), seed=context.seed + place)
            held = fold.valid if timed else fold.train.take(part.held)
            model = self.contender.fit(replace(fold, train=fold.train.take(part.learn), valid=held, shards=None), given)
            if not models:
                settled = self.contender.settled(model)
            models.append(model)
            if not timed and len(part.held):
                seen.add(part.held, model.predict(held.X))
                context.report(place + 1, out_of_fold=seen.score(fold.problem.metric))
        return bagged(models, contenders=(settled,))

    def settled(self, model: Model) -> "Bag":
        if isinstance(model, BlendModel) and model.contenders:
            return replace(self, contender=model.contenders[0])
        return self

    def _parts(self, fold: Fold, seed: int) -> tuple[int, Iterable[Part]]:
        """How many fits, and the rows of each."""
        if not self.draws and fold.problem.time is None:
            dealt = deal(fold, self.folds, seed=seed)
            return len(dealt), dealt
        rng = np.random.default_rng(seed)
        fits = self.draws or self.folds
        return fits, (_drawn(fold.train, rng) for _ in range(fits))


@dataclass
class _Seen:
    """What has been said of the rows so far by fits that had not seen them."""

    rows: Frame
    total: np.ndarray | None = None
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def add(self, held: np.ndarray, predicted: np.ndarray) -> None:
        if self.total is None:
            self.total = np.zeros((len(self.rows), *predicted.shape[1:]))
            self.counts = np.zeros(len(self.rows))
        self.total[held] += predicted
        self.counts[held] += 1

    def score(self, name: str) -> float:
        """Of the rows that were answered."""
        known = np.flatnonzero(self.counts)
        if self.total is None:
            return float("nan")
        share = self.counts[known].reshape(-1, *[1] * (self.total.ndim - 1))
        return metric(name).score(self.rows.truth.take(known), self.total[known] / share)


def _drawn(rows: Frame, rng: np.random.Generator) -> Part:
    """A bootstrap sample, of groups where there are some, and the rows that are not in it.

    Every class is in it: rows of one that was not drawn are added.
    """
    if rows.group is None:
        learn = np.sort(rng.integers(0, len(rows), len(rows)))
    else:
        groups, codes = np.unique(rows.group, return_inverse=True)
        times = np.bincount(rng.integers(0, len(groups), len(groups)), minlength=len(groups))
        learn = np.repeat(np.arange(len(rows)), times[codes])
    if rows.truth.classes:
        lacking = np.setdiff1d(rows.y, rows.y[learn])
        learn = np.sort(np.concatenate([learn, np.flatnonzero(np.isin(rows.y, lacking))]))
    return Part(learn, np.setdiff1d(np.arange(len(rows)), learn))
