"""A contender that learns from synthetic rows too. It seldom pays: hold it against the plain one, and class weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Contender, Context, Model
from framework.data.frame import Fold, Frame, Truth
from framework.problem import Kind
from synthetic.ar import AR
from synthetic.synthesizer import Synthesizer

ANSWER = "the answer"
SHARE = 0.5  # of the time, for the synthesizer


class AugmentedError(UserError):
    """Rows that cannot be added to."""


@dataclass(frozen=True)
class Augmented:
    """`contender`, fit on the training rows and on synthetic ones that `synthesizer` learned from these alone.

    how: "balance" adds rows of the rarer classes until all are as common as the commonest; "share" adds `share` times
    as many rows as there are, as they come. The validation rows play no part: they stay fair to rank on.
    """

    contender: Contender
    synthesizer: Synthesizer = field(default_factory=AR)
    how: Literal["balance", "share"] = "balance"
    share: float = 1.0
    name: str = ""
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.contender.name}+{self.synthesizer.name}")

    @property
    def resources(self) -> Resources:
        return replace(self.contender.resources, cpus=self.cpus)

    def check(self) -> None:
        """Raises AugmentedError where its settings contradict one another."""
        if self.how == "share" and not self.share > 0:
            raise AugmentedError(f"{self.name} has share={self.share:g}; it adds rows only above 0.")

    def fit(self, fold: Fold, context: Context) -> Model:
        """Raises AugmentedError for groups, times or weights, which synthetic rows have none of."""
        self.check()
        truth = fold.train.truth
        for what, there in (("groups", truth.group), ("times", truth.moment), ("weights", truth.weight)):
            if there is not None:
                raise AugmentedError(f"{self.name} cannot add rows where rows have {what}: made-up rows have none.")
        first = replace(context, deadline=context.deadline)
        if context.remaining() < float("inf"):
            first = replace(context, deadline=context.deadline - (1 - SHARE) * context.remaining())
        added = self._rows(fold, first)
        context.remark(f"{len(added)} synthetic rows were added to {len(fold.train)} real ones")
        return self.contender.fit(replace(fold, train=_joined(fold.train, added), shards=None), context)

    def settled(self, model: Model) -> "Augmented":
        return replace(self, contender=self.contender.settled(model))

    def _rows(self, fold: Fold, context: Context) -> Frame:
        table, classed = fold.train.X.copy(deep=False), fold.problem.classified
        answers = fold.train.y
        table[ANSWER] = answers.astype(str).astype(object) if classed else answers
        fitted = self.synthesizer.fit(table, (), context)
        if not classed or self.how == "share":
            asked: Sequence[tuple[int, dict[str, str]]] = [(round(self.share * len(table)), {})]
        else:
            counts = np.bincount(answers)
            asked = [
                (int(counts.max() - n), {ANSWER: str(code)}) for code, n in enumerate(counts) if 0 < n < counts.max()
            ]
        drawn = [fitted.sample(n, wanted, seed=context.seed + at) for at, (n, wanted) in enumerate(asked)]
        made = pd.concat(drawn, ignore_index=True) if drawn else table.iloc[:0]
        y = made.pop(ANSWER).to_numpy()
        return Frame(_like(made, fold.train.X), replace(_bare(fold.train.truth), y=y.astype(answers.dtype)))


def _bare(truth: Truth) -> Truth:
    return Truth(features=truth.features, classes=truth.classes)


def _like(made: pd.DataFrame, X: pd.DataFrame) -> pd.DataFrame:
    """With the dtypes of the real rows, categories in their order."""
    return pd.DataFrame({name: made[name].astype(X[name].dtype) for name in X.columns}).reset_index(drop=True)


def _joined(real: Frame, added: Frame) -> Frame:
    X = pd.concat([real.X, added.X], ignore_index=True)
    return Frame(X, replace(_bare(real.truth), y=np.concatenate([real.y, added.y])))
