"""Contenders whose answers another contender learns from: "Stacked generalization" (Wolpert 1992)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Contender, Context, Model
from framework.contenders import nnls
from framework.contenders.blend import BlendModel
from framework.contenders.ensemble import (
    Combined,
    EnsembleError,
    check_answers,
    check_members,
    cross_fitted,
    equal,
    lent,
    mean,
    resources_of,
    told,
)
from framework.contenders.level import level, level_fold
from framework.contenders.members_store import load_members, save_members
from framework.contenders.meta_learner import LEARNERS, Learner, learner, stopped
from framework.contenders.out_of_fold import out_of_fold
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold, Frame
from framework.metric import metric
from framework.problem import Kind, Problem

CARD = "stack.json"
META = "meta"
META_SHARE = 0.15  # of the time, kept for the meta-learner
CLOSING_SHARE = 0.05  # the same for one that only weighs


@dataclass(frozen=True)
class Stack:
    """Members fit on folds, and a meta-learner that learns from what each said of the rows it had not seen.

    In a contest it is given the answers of the members, or of all contenders where it has none; fit by itself, it fits
    its members first.
    meta: "nnls" weighs the members, never below zero (Breiman 1996); "logistic" (classes), "ridge" (values),
    "boosting" and "net" learn from their answers as columns, and so does any contender given.
    passthrough: the raw columns too. layers: 2 for the members once more between the first layer's answers, the raw
    columns beside them, and the meta-learner. folds, repeats: how the rows to learn from are dealt, and how often.
    workers: fits at once, each a Ray task; 1: one after the other in the process of the stack.
    """

    members: tuple[Contender, ...] = ()
    meta: Contender | Learner = "nnls"
    folds: int = 5
    repeats: int = 1
    passthrough: bool = False
    layers: int = 1
    workers: int = 1
    name: str = "stack"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return resources_of(self.members, self.cpus, workers=self.workers)

    def combine(self, answers: Mapping[str, np.ndarray], rows: Frame, fold: Fold, context: Context) -> Combined:
        """As `Ensemble` has it: the meta-learner learned from all rows, the predictions by those that lacked them."""
        check_answers(answers, who=self.name)
        self._check(fold.problem)
        names, shown = list(answers), rows.X if self._shows_columns else None

        def learn(learned: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
            given = {name: each[learned] for name, each in answers.items()}
            found = self._learn(given, rows.take(learned), fold, context)

            def answer(held: np.ndarray) -> np.ndarray:
                asked = {name: each[held] for name, each in answers.items()}
                if isinstance(found, dict):
                    return mean(asked, found)
                X = None if shown is None else shown.iloc[held]
                return found.predict(level(asked, X))

            return answer

        predicted = cross_fitted(learn, answers, rows, fold, seed=context.seed)
        found = self._learn(answers, rows, fold, context)
        if isinstance(found, dict):
            return Combined(tuple(found), predicted, told(found), lambda models: BlendModel.of(models, found))
        remark = f"{self._meta_name} over {', '.join(names)}"
        return Combined(tuple(names), predicted, remark, lambda models: self._made(models, names, found))

    def fit(self, fold: Fold, context: Context) -> "StackModel | BlendModel":
        """Members that fail, or are not done in time, are left out with a remark; what the stack consists of is one.

        Raises EnsembleError for fewer than two members, when fewer finish, or for settings that contradict each other;
        DataError where the rows cannot be dealt into folds.
        """
        self._check(fold.problem)
        check_members(self.members, fold, who=self.name)
        kept = 1 - 1 / self.layers if self.layers > 1 else CLOSING_SHARE if self.meta == "nnls" else META_SHARE
        done = out_of_fold(
            self.members, fold, who=self.name, folds=self.folds, repeats=self.repeats, context=lent(context, 1 - kept),
            workers=self.workers,
        )  # fmt: skip
        rows = fold.train.take(done.rows)
        scored = metric(fold.problem.metric)
        scores = {name: scored.score(rows.truth, answer) for name, answer in done.answers.items()}
        context.report(1, **{f"out_of_fold/{name}": score for name, score in scores.items()})
        found = self._learn(done.answers, rows, fold, context)
        settled = tuple(done.settled.values())
        if isinstance(found, dict):
            context.remark(told(found))
            return BlendModel.of(done.models, found, settled)
        return replace(self._made(done.models, list(done.models), found), contenders=settled)

    def settled(self, model: Model) -> "Stack":
        if isinstance(model, BlendModel | StackModel) and model.contenders:
            return replace(self, members=model.contenders)
        return self

    @property
    def _shows_columns(self) -> bool:
        return self.passthrough or self.layers > 1

    @property
    def _meta_name(self) -> str:
        return self.meta if isinstance(self.meta, str) else self.meta.name

    def _made(self, models: Mapping[str, Model], names: list[str], meta: Model) -> "StackModel":
        return StackModel({name: models[name] for name in names}, meta, self._shows_columns)

    def _learn(
        self, answers: Mapping[str, np.ndarray], rows: Frame, fold: Fold, context: Context
    ) -> dict[str, float] | Model:
        """The members' weights, or what the meta-learner left behind; rows: those that were answered."""
        if self.layers == 1 and self.meta == "nnls":
            return nnls.weigh(answers, rows.truth)
        upper = level_fold(answers, rows, fold, passthrough=self._shows_columns)
        if self.layers > 1:
            second = replace(self, layers=self.layers - 1, workers=1, name=f"layer of {self.name}")
            return second.fit(upper, context)
        return stopped(learner(self.meta) if isinstance(self.meta, str) else self.meta, upper, context)

    def _check(self, problem: Problem) -> None:
        """Raises EnsembleError where the settings contradict each other or the question."""
        if isinstance(self.meta, str) and self.meta not in LEARNERS:
            raise EnsembleError(f"meta={self.meta!r} is unknown; it is one of {', '.join(LEARNERS)}, or a contender.")
        if self.meta == "nnls" and self.passthrough:
            raise EnsembleError("meta='nnls' weighs answers and sees no columns. Leave passthrough out, or the nnls.")
        if self.meta == "logistic" and not problem.classified:
            raise EnsembleError(f"meta='logistic' learns classes; kind={problem.kind!r} has none. Take meta='ridge'.")
        if self.meta == "ridge" and problem.classified:
            raise EnsembleError(
                f"meta='ridge' learns values, not classes as kind={problem.kind!r} has. Take 'logistic'."
            )
        if self.layers > 1 and not self.members:
            raise EnsembleError(f"layers={self.layers} needs members of its own to fit once more. Pass members.")
        for field, least in (("folds", 2), ("repeats", 1), ("layers", 1)):
            if getattr(self, field) < least:
                raise EnsembleError(f"{field} is {getattr(self, field)}; a stack needs {least} at least.")


@dataclass(frozen=True)
class StackModel:
    """Models, and the one that answers from their answers. columns: it is shown the rows' own too.

    contenders: the members settled; not saved.
    """

    models: dict[str, Model]
    meta: Model
    columns: bool = False
    contenders: tuple[Contender, ...] = ()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        answers = {name: model.predict(X) for name, model in self.models.items()}
        return self.meta.predict(level(answers, X if self.columns else None))

    def save(self, folder: Path) -> None:
        save_members(self.models, folder / CARD, weights=equal(list(self.models)), columns=self.columns)
        (folder / META).mkdir()
        store_model(self.meta, folder / META)

    @classmethod
    def load(cls, folder: Path) -> Self:
        models, _, facts = load_members(folder / CARD)
        return cls(models, open_model(folder / META), bool(facts["columns"]))
