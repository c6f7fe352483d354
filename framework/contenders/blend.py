"""A weighted mean of contenders, chosen greedily (Caruana et al. 2004)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Contender, Context, Model
from framework.contenders.ensemble import (
    Combined,
    EnsembleError,
    check_answers,
    check_members,
    cross_fitted,
    equal,
    fit_members,
    mean,
    resources_of,
    told,
)
from framework.contenders.greedy import select
from framework.contenders.members_store import load_members, save_members
from framework.data.frame import Fold, Frame
from framework.metric import metric
from framework.problem import Kind

__all__ = ["Blend", "BlendError", "BlendModel", "bagged", "mean", "select"]

CARD = "blend.json"
BlendError = EnsembleError


@dataclass(frozen=True)
class Blend:
    """The mean of the best contenders, each counted as often as it was chosen.

    A contest gives it the answers of the contenders that finished; fit by itself, it fits its `members` first.
    rounds: contenders chosen at most, repeats counted. weights: one for each member; empty: chosen on the validation
    rows, or equal where there are none.
    """

    members: tuple[Contender, ...] = ()
    weights: tuple[float, ...] = ()
    rounds: int = 50
    name: str = "blend"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression", "forecast"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return resources_of(self.members, self.cpus)

    def combine(self, answers: Mapping[str, np.ndarray], rows: Frame, fold: Fold, context: Context) -> Combined:
        """As `Ensemble` has it: weights chosen on all rows, predictions by weights chosen without them."""
        check_answers(answers, who=self.name)
        scored = metric(fold.problem.metric)

        def learn(learned: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
            given = {name: each[learned] for name, each in answers.items()}
            weights = select(given, rows.truth.take(learned), scored, rounds=self.rounds)
            return lambda held: mean({name: answers[name][held] for name in weights}, weights)

        weights = select(answers, rows.truth, scored, rounds=self.rounds)
        predicted = cross_fitted(learn, answers, rows, fold, seed=context.seed)
        return Combined(tuple(weights), predicted, told(weights), lambda models: BlendModel.of(models, weights))

    def fit(self, fold: Fold, context: Context) -> "BlendModel":
        """Fits the members one after the other, in equal shares of the time; one that fails is left out, with a remark.

        Raises EnsembleError for fewer than two members, or when fewer finish.
        """
        least = 1 if self.weights else 2  # settled, only the members that count are left
        check_members(self.members, fold, who=self.name, least=least)
        fitted = fit_members(self.members, fold, context, who=self.name, least=least)
        models = fitted.models
        if self.weights:
            given = dict(zip((member.name for member in self.members), self.weights, strict=True))
            chosen = {name: given[name] for name in models}
        elif len(fold.valid):
            answers = {name: model.predict(fold.valid.X) for name, model in models.items()}
            chosen = select(answers, fold.valid.truth, metric(fold.problem.metric), rounds=self.rounds)
        else:
            chosen = equal(list(models))
        kept = {name: weight for name, weight in chosen.items() if weight > 0}
        return BlendModel.of(models, kept, tuple(fitted.settled[name] for name in kept))

    def settled(self, model: Model) -> "Blend":
        if not isinstance(model, BlendModel) or not model.contenders:
            return self
        weights = tuple(model.weights[contender.name] for contender in model.contenders)
        return replace(self, members=model.contenders, weights=weights)


@dataclass(frozen=True)
class BlendModel:
    """The weighted mean of models: of probabilities, or of values. contenders: the members settled; not saved."""

    models: dict[str, Model]
    weights: dict[str, float]
    contenders: tuple[Contender, ...] = ()

    @classmethod
    def of(
        cls, models: Mapping[str, Model], weights: Mapping[str, float], contenders: Sequence[Contender] = ()
    ) -> Self:
        """The mean of those of the models that have a weight."""
        return cls({name: models[name] for name in weights}, dict(weights), tuple(contenders))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return mean({name: self.models[name].predict(X) for name in self.weights}, self.weights)

    def save(self, folder: Path) -> None:
        save_members({name: self.models[name] for name in self.weights}, folder / CARD, weights=self.weights)

    @classmethod
    def load(cls, folder: Path) -> Self:
        models, weights, _ = load_members(folder / CARD)
        return cls(models, weights)


def bagged(models: Sequence[Model], *, contenders: Sequence[Contender] = ()) -> Model:
    """The mean of models of one contender, each fit on another part of the rows; the only one as it is.

    contenders: itself settled, where an ensemble has to know.
    """
    if len(models) == 1 and not contenders:
        return models[0]
    names = [f"fold {number}" for number in range(1, len(models) + 1)]
    return BlendModel.of(dict(zip(names, models, strict=True)), equal(names), contenders)
