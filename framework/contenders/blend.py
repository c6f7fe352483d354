"""A weighted mean of contenders, chosen greedily (Caruana et al. 2004)."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Contender, Context, Model
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold, Truth
from framework.metric import Metric, metric
from framework.problem import Kind

CARD = "blend.json"
FOLDS = 5
START = 3  # contenders that a selection begins with


class BlendError(UserError):
    """A blend of nothing."""


@dataclass(frozen=True)
class Mixed:
    """What a selection found. predicted: on the rows it was chosen by, each by weights chosen without it.

    score: of these predictions.
    """

    weights: dict[str, float]
    predicted: np.ndarray
    score: float


@dataclass(frozen=True)
class Blend:
    """The mean of the best contenders, each counted as often as it was chosen.

    A contest gives it the answers of the contenders that finished; fit by itself, it fits its `members` first.
    rounds: contenders chosen at most, repeats counted. weights: one for each member; empty: chosen on the validation
    rows, or equal where there are none.
    """

    members: tuple[Contender, ...] = ()
    weights: tuple[float, ...] = ()
    rounds: int = 20
    name: str = "blend"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression", "forecast"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def select(self, predictions: Mapping[str, np.ndarray], truth: Truth, scored: Metric, *, seed: int = 0) -> Mixed:
        """Weights chosen on all rows, and predictions cross-fitted: no row's is by weights chosen on it.

        A score on the rows that weights were chosen on would flatter the blend.
        """
        weights = select(predictions, truth, scored, rounds=self.rounds)
        rows = np.arange(len(truth))
        part = np.random.default_rng(seed).permutation(len(rows)) % FOLDS
        predicted = np.empty_like(next(iter(predictions.values())), dtype=np.float64)
        for fold in range(FOLDS):
            rest, held = rows[part != fold], rows[part == fold]
            if not len(rest):
                rest = held
            given = {name: answers[rest] for name, answers in predictions.items()}
            without = select(given, truth.take(rest), scored, rounds=self.rounds)
            predicted[held] = mean({name: predictions[name][held] for name in without}, without)
        return Mixed(weights, predicted, scored.score(truth, predicted))

    def fit(self, fold: Fold, context: Context) -> "BlendModel":
        """Fits the members one after the other, in equal shares of the time. Raises BlendError without members."""
        if not self.members:
            raise BlendError("Blend has no members to fit by itself. Pass members, or enter it in a contest.")
        models: dict[str, Model] = {}
        settled: dict[str, Contender] = {}
        for place, member in enumerate(self.members):
            share = context.remaining() / (len(self.members) - place)
            models[member.name] = member.fit(fold, replace(context, deadline=time.time() + share))
            settled[member.name] = member.settled(models[member.name])
        if self.weights:
            chosen = dict(zip(models, self.weights, strict=True))
        elif len(fold.valid):
            answers = {name: model.predict(fold.valid.X) for name, model in models.items()}
            chosen = select(answers, fold.valid.truth, metric(fold.problem.metric), rounds=self.rounds)
        else:
            chosen = dict.fromkeys(models, 1 / len(models))
        kept = {name: weight for name, weight in chosen.items() if weight > 0}
        return BlendModel({name: models[name] for name in kept}, kept, tuple(settled[name] for name in kept))

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

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return mean({name: self.models[name].predict(X) for name in self.weights}, self.weights)

    def save(self, folder: Path) -> None:
        places = {name: f"member_{place}" for place, name in enumerate(self.weights)}
        for name, place in places.items():
            (folder / place).mkdir()
            store_model(self.models[name], folder / place)
        members = [{"name": name, "weight": self.weights[name], "folder": place} for name, place in places.items()]
        (folder / CARD).write_text(json.dumps({"members": members}, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        members = json.loads((folder / CARD).read_text(encoding="utf-8"))["members"]
        models: dict[str, Model] = {}
        for member in members:
            if Path(member["folder"]).name != member["folder"]:
                raise ValueError(f"{folder / CARD} names a member outside of the folder: {member['folder']!r}")
            models[member["name"]] = open_model(folder / member["folder"])
        return cls(models, {member["name"]: float(member["weight"]) for member in members})


def bagged(models: Sequence[Model]) -> Model:
    """The mean of models of one contender, each fit on another part of the rows; the only one as it is."""
    if len(models) == 1:
        return models[0]
    names = [f"fold {number}" for number in range(1, len(models) + 1)]
    return BlendModel(dict(zip(names, models, strict=True)), dict.fromkeys(names, 1 / len(models)))


def select(
    predictions: Mapping[str, np.ndarray], truth: Truth, scored: Metric, *, rounds: int = 20, start: int = START
) -> dict[str, float]:
    """Greedy selection with replacement: to the mean of the best few, who lifts it most is added, again and again.

    predictions: on the rows of `truth`, all of one shape. start: how many it begins with, so that one lucky contender
    does not lead it (Caruana et al. 2004, "sorted initialization"). Of all the means on the way the best counts, or
    the best contender alone where that is better than any.
    Returns the share of each that was chosen, largest first; they sum to 1. Ties go to the name given first.
    """
    scores = {name: scored.score(truth, predictions[name]) for name in predictions}
    known = [name for name in predictions if math.isfinite(scores[name])] or list(predictions)[:1]
    ranked = sorted(known, key=lambda name: scores[name], reverse=scored.direction == "max")
    kept, score = ranked[:1], scores[ranked[0]]
    chosen = ranked[:start]
    total = np.asarray(np.sum([predictions[name] for name in chosen], axis=0, dtype=np.float64))
    reached = scored.score(truth, total / len(chosen))
    while True:
        if scored.better(reached, score):
            kept, score = list(chosen), reached
        if len(chosen) >= rounds:
            break
        tried = {name: scored.score(truth, (total + predictions[name]) / (len(chosen) + 1)) for name in known}
        name = _best(tried, scored)
        chosen, total, reached = [*chosen, name], total + predictions[name], tried[name]
    shares = {name: kept.count(name) / len(kept) for name in kept}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _best(scores: Mapping[str, float], scored: Metric) -> str:
    """Whose score is best; of equal ones the first."""
    first, *rest = scores
    for name in rest:
        if scored.better(scores[name], scores[first]):
            first = name
    return first


def mean(predictions: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean of answers of one shape; weights need not sum to 1."""
    total = sum(weights.values())
    return np.asarray(sum(weight / total * predictions[name] for name, weight in weights.items()))
