"""What an ensemble is: a contender made of contenders, which a contest lets share the answers it has already."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Contender, Context, Model
from framework.contenders.inner_folds import deal
from framework.data.data_error import DataError
from framework.data.frame import Fold, Frame

FOLDS = 5  # that weights and meta-learners are cross-fitted on


class EnsembleError(UserError):
    """An ensemble of too few members, or of members that cannot be put together."""


@dataclass(frozen=True)
class Combined:
    """An ensemble of answers that are there already.

    members: those that it needs. predicted: on the rows given, no row's by weights or a meta-learner that saw its
    answer. remark: what it consists of, for the leaderboard. make: from the members' models to the one model.
    """

    members: tuple[str, ...]
    predicted: np.ndarray
    remark: str
    make: Callable[[Mapping[str, Model]], Model]


@runtime_checkable
class Ensemble(Contender, Protocol):
    """A contender made of contenders.

    In a contest it is given the members' answers on the rows ranked on, which none of the models that answered had
    learned from; fit by itself, it fits its members first.
    """

    @property
    def members(self) -> tuple[Contender, ...]:
        """Those that it is made of; none: whatever the contest has."""
        ...

    def combine(self, answers: Mapping[str, np.ndarray], rows: Frame, fold: Fold, context: Context) -> Combined:
        """An ensemble of these answers. answers: each member's, on `rows`. fold: the contest's, for its question.

        Raises EnsembleError for fewer than two members.
        """
        ...


@dataclass(frozen=True)
class Fitted:
    """Members that were fit, in their order, and as they would be fit once more."""

    models: dict[str, Model]
    settled: dict[str, Contender]


def check_members(members: Sequence[Contender], fold: Fold, *, who: str, least: int = 2) -> None:
    """Raises EnsembleError for fewer than `least` members, two of one name, or one that takes no such question."""
    if not members:
        raise EnsembleError(f"{who} has no members to fit by itself. Pass members, or enter it in a contest.")
    names = [member.name for member in members]
    if len(members) < least:
        raise EnsembleError(f"{who} has one member, {names[0]}: an ensemble of one is that one. Pass two or more.")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise EnsembleError(
            f"two members of {who} are called {twice[0]!r}. Give one another name: replace(it, name=…)."
        )
    kind = fold.problem.kind
    for member in members:
        if kind not in member.kinds:
            takes = ", ".join(sorted(member.kinds))
            raise EnsembleError(f"{member.name} in {who} cannot answer a {kind} question; it takes {takes}.")


def check_answers(answers: Mapping[str, np.ndarray], *, who: str) -> None:
    """Raises EnsembleError for the answers of fewer than two members."""
    if len(answers) < 2:
        told = f"only {next(iter(answers))} has" if answers else "no contender has"
        raise EnsembleError(
            f"{who} needs the answers of two contenders, and {told} any. Enter more, or give more time."
        )


def check_left(left: Sequence[str], lost: Mapping[str, str], *, who: str, least: int = 2) -> None:
    """Raises EnsembleError with every member's reason when too few of them are left."""
    if len(left) < least:
        reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in lost.items())
        raise EnsembleError(
            f"{who} needs {least} members that finish, and {' and '.join(left) or 'none'} did ({reasons}). "
            f"Give it other members, or more time."
        )


def resources_of(members: Sequence[Contender], cpus: float, *, workers: int = 1) -> Resources:
    """What an ensemble asks of Ray that fits its members one after the other, or `workers` of them at once.

    Where members start processes of their own, or it starts some for them, it takes nothing beside these.
    """
    asked = [member.resources for member in members]
    each = max([cpus, *(one.cpus for one in asked)])
    most = max([0.0, *(one.cpus * one.workers for one in asked)])
    return Resources(
        cpus=each,
        gpus=max([0.0, *(one.gpus for one in asked)]),
        memory_gigabytes=max([0.0, *(one.memory_gigabytes for one in asked)]),
        workers=max(workers, math.ceil(most / each)),
        apart=workers > 1 or any(one.apart for one in asked),
    )


def fit_members(members: Sequence[Contender], fold: Fold, context: Context, *, who: str, least: int = 2) -> Fitted:
    """Each member fit on the fold, one after the other, in equal shares of the time.

    One that fails is left out, with a remark. Raises EnsembleError when fewer than `least` are left.
    """
    models: dict[str, Model] = {}
    settled: dict[str, Contender] = {}
    lost: dict[str, str] = {}
    for place, member in enumerate(members):
        try:
            model = member.fit(fold, lent(context, 1 / (len(members) - place)))
        except Exception as error:  # the border between an ensemble and its members
            lost[member.name] = sentence(error)
            context.remark(f"without {member.name}: {lost[member.name]}")
            continue
        models[member.name], settled[member.name] = model, member.settled(model)
    check_left(list(models), lost, who=who, least=least)
    return Fitted(models, settled)


def lent(context: Context, share: float) -> Context:
    """The same with this share of the time that is left."""
    return replace(context, deadline=time.time() + share * context.remaining())


def sentence(error: Exception) -> str:
    """An exception in one line; a person's mistake in its own words."""
    first = str(error).strip().splitlines()[:1]
    return " ".join(first) if isinstance(error, UserError) else ": ".join([type(error).__name__, *first])


def mean(predictions: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean of answers of one shape; weights need not sum to 1."""
    total = sum(weights.values())
    return np.asarray(sum(weight / total * predictions[name] for name, weight in weights.items()))


def equal(names: Sequence[str]) -> dict[str, float]:
    """The same weight for each."""
    return dict.fromkeys(names, 1 / len(names))


def told(weights: Mapping[str, float]) -> str:
    """Such as "0.60 xgboost + 0.40 linear"; the heaviest first."""
    ranked = sorted(weights.items(), key=lambda item: -item[1])
    return " + ".join(f"{weight:.2f} {name}" for name, weight in ranked)


def cross_fitted(
    learn: Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]],
    answers: Mapping[str, np.ndarray],
    rows: Frame,
    fold: Fold,
    *,
    seed: int = 0,
) -> np.ndarray:
    """Predictions for all rows, each by what was learned without it: a score of them flatters nobody.

    learn: from rows to learn from (indices) to a function from rows (indices) to their predictions.
    Rows that no fold holds out, such as the oldest in order of time, are answered by the plain mean of the members.
    """
    predicted = np.array(mean(answers, equal(list(answers))), dtype=np.float64)
    try:
        parts = deal(replace(fold, train=rows), FOLDS, seed=seed)
    except DataError:  # too few rows, or groups: nothing is learned from them
        return predicted
    for part in parts:
        predicted[part.held] = learn(part.learn)(part.held)
    return predicted
