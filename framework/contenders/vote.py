"""Every member counts the same: the mean of their answers, or the share of them that say so."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Contender, Context, Model
from framework.contenders.blend import BlendModel
from framework.contenders.ensemble import (
    Combined,
    EnsembleError,
    check_answers,
    check_members,
    equal,
    fit_members,
    mean,
    resources_of,
)
from framework.contenders.members_store import load_members, save_members
from framework.data.frame import Fold, Frame
from framework.problem import Kind, Problem

CARD = "vote.json"
TIE = 1e-6  # how much of the answer is the mean probability: too little to outweigh a vote


@dataclass(frozen=True)
class Vote:
    """The members' vote; nothing is learned from how good each of them is.

    how: "soft", the mean of the probabilities or values; "hard", classes only: the share of the members whose likeliest
    class it is, ties going to the class of the higher mean probability.
    """

    members: tuple[Contender, ...] = ()
    how: Literal["soft", "hard"] = "soft"
    name: str = "vote"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression", "forecast"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return resources_of(self.members, self.cpus)

    def combine(self, answers: Mapping[str, np.ndarray], rows: Frame, fold: Fold, context: Context) -> Combined:
        """As `Ensemble` has it: all of the answers, each with one vote."""
        check_answers(answers, who=self.name)
        self._check(fold.problem)
        predicted = count(answers) if self.how == "hard" else mean(answers, equal(list(answers)))
        return Combined(tuple(answers), predicted, f"{self.how} vote of {len(answers)}", self._made)

    def fit(self, fold: Fold, context: Context) -> "BlendModel | VoteModel":
        """Fits the members one after the other, in equal shares of the time; one that fails is left out, with a remark.

        Raises EnsembleError for fewer than two members, when fewer finish, or for a hard vote on values.
        """
        self._check(fold.problem)
        check_members(self.members, fold, who=self.name)
        fitted = fit_members(self.members, fold, context, who=self.name)
        return replace(self._made(fitted.models), contenders=tuple(fitted.settled.values()))

    def settled(self, model: Model) -> "Vote":
        if isinstance(model, BlendModel | VoteModel) and model.contenders:
            return replace(self, members=model.contenders)
        return self

    def _made(self, models: Mapping[str, Model]) -> "BlendModel | VoteModel":
        return VoteModel(dict(models)) if self.how == "hard" else BlendModel.of(models, equal(list(models)))

    def _check(self, problem: Problem) -> None:
        if self.how not in ("soft", "hard"):
            raise EnsembleError(f"how={self.how!r} is no way to vote; it is 'soft' or 'hard'.")
        if self.how == "hard" and not problem.classified:
            raise EnsembleError(
                f"how='hard' counts votes for classes; kind={problem.kind!r} has none. Take how='soft'."
            )


@dataclass(frozen=True)
class VoteModel:
    """The share of the models that vote for each class. contenders: the members settled; not saved."""

    models: dict[str, Model]
    contenders: tuple[Contender, ...] = ()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return count({name: model.predict(X) for name, model in self.models.items()})

    def save(self, folder: Path) -> None:
        save_members(self.models, folder / CARD, weights=equal(list(self.models)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(load_members(folder / CARD)[0])


def count(answers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Each class's share of the votes, shape (rows, classes): (1 - ε) votes / members + ε mean probability.

    ε = 1e-6 only tells classes of equally many votes apart.
    """
    together = mean(answers, equal(list(answers)))
    shares = np.zeros_like(together)
    rows = np.arange(len(together))
    for each in answers.values():
        shares[rows, each.argmax(axis=1)] += 1 / len(answers)
    return np.asarray((1 - TIE) * shares + TIE * together)
