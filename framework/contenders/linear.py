"""Regularised linear models: the floor that a contest's winner must never fall below."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.constant import weighted_quantile
from framework.contenders.preprocess import IMPORTS, dense
from framework.contenders.probabilities import loss, widen
from framework.contenders.sklearn_model import SklearnModel
from framework.contenders.target import Target, quantile_of
from framework.data.frame import Fold, Frame
from framework.metric import metric
from framework.problem import Kind
from framework.search_space import Choice, Real, Settings, Space

FOLDS = 5
CHOICE_ROWS = 20_000  # the strength hardly moves beyond them
MOST_ROWS = 200_000  # as do the coefficients of a few hundred columns
KNOTS = 5
PENALTIES = tuple(float(p) for p in np.logspace(-1, 4.5, 12))  # ridge, of standardised columns
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # C of the logistic regression


@dataclass(frozen=True)
class Linear:
    """Ridge or logistic regression on standardised columns, one for each category.

    strength: the ridge's penalty or the logistic regression's C; log_target: learns log y of a target above 0;
    bends: a spline in each number, so that an effect may level off. None: chosen by cross-validation over the
    training rows, by log loss, or by the problem's metric in the target's own units.
    """

    strength: float | None = None
    log_target: bool | None = None
    bends: bool | None = None
    name: str = "linear"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("sklearn.linear_model", "sklearn.model_selection", *IMPORTS)
    pooled: ClassVar[bool] = True
    # The ridge's penalty and the logistic regression's C, by factors around 1, as in Hastie et al. 2009, 3.4 and 4.4.
    space: ClassVar[Space] = {"strength": Real(0.001, 1000.0, log=True), "bends": Choice((True, False))}
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"strength": 1.0, "bends": False},
        {"strength": 10.0, "bends": True},
        {"strength": 0.05, "bends": True},
    )

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> SklearnModel:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(context.threads):
            rows = sample(len(fold.train), MOST_ROWS, seed=context.seed)
            if rows is not None:
                fold = replace(fold, train=fold.train.take(rows))
            return self._classifier(fold, context) if fold.problem.classified else self._ridge(fold, context)

    def settled(self, model: Model) -> "Linear":
        return replace(self, **model.found) if isinstance(model, SklearnModel) else self

    def _bends(self) -> list[bool]:
        return [False, True] if self.bends is None else [self.bends]

    def _ridge(self, fold: Fold, context: Context) -> SklearnModel:
        from sklearn.linear_model import Ridge

        positive = bool((fold.train.y > 0).all())
        logs = [False, True] if self.log_target is None else [self.log_target]
        targets = [logged for logged in logs if positive or not logged] or [False]
        penalties = PENALTIES if self.strength is None else (self.strength,)
        found, offset = self._choose_ridge(fold, context, targets, penalties)
        columns = dense(fold.schema, answer="continuous", knots=KNOTS * found["bends"], seed=context.seed)
        train = fold.train
        target = Target.learn(train.y, train.weight, logged=found["log_target"])
        z = target.forward(train.y)
        ridge = Ridge(alpha=found["strength"]).fit(columns.fit_transform(train.X, z), z, sample_weight=train.weight)
        return SklearnModel(columns, ridge, target=target.moved(offset), found=found)

    def _choose_ridge(
        self, fold: Fold, context: Context, targets: list[bool], penalties: tuple[float, ...]
    ) -> tuple[dict[str, Any], float]:
        """The fields that cross-validation chooses, and how far answers are moved to serve the metric's quantile."""
        scored, quantile = metric(fold.problem.metric), quantile_of(fold.problem.metric)
        best: tuple[float, dict[str, Any], float] | None = None
        began = time.time()
        for bends in self._bends():
            if best is not None and context.remaining() < 2 * KNOTS * (time.time() - began):
                break
            frame = _choice_rows(fold.train, context.seed)
            answers = np.empty((len(targets), len(penalties), len(frame)))
            for train, rest in _folds(frame, classified=False, seed=context.seed):
                columns = dense(fold.schema, answer="continuous", knots=KNOTS * bends, seed=context.seed)
                A = columns.fit_transform(train.X, train.y)
                B = columns.transform(frame.X.iloc[rest])
                for place, logged in enumerate(targets):
                    target = Target.learn(train.y, train.weight, logged=logged)
                    z = ridge_path(A, target.forward(train.y), B, train.weight, penalties)
                    answers[place][:, rest] = np.clip(z, target.low, target.high) * target.scale + target.shift
            for place, logged in enumerate(targets):
                whole = Target.learn(frame.y, frame.weight, logged=logged)
                for penalty, told in zip(penalties, answers[place], strict=True):
                    offset = 0.0
                    if quantile is not None:
                        residuals = (np.log(frame.y) if logged else frame.y) - told
                        offset = weighted_quantile(residuals, quantile, frame.weight)
                    y = np.exp(told + offset) if logged else told + offset
                    score = scored.score(frame.truth, y)
                    if best is None or scored.better(score, best[0]):
                        found = {"strength": penalty, "log_target": logged, "bends": bends}
                        best = (score, found, offset / whole.scale)
        assert best is not None  # there is at least one candidate
        return best[1], best[2]

    def _classifier(self, fold: Fold, context: Context) -> SklearnModel:
        from sklearn.linear_model import LogisticRegression

        answer = "binary" if len(fold.classes) == 2 else "multiclass"
        found = self._choose_classifier(fold, context, answer)
        columns = dense(fold.schema, answer=answer, knots=KNOTS * found["bends"], seed=context.seed)
        train = fold.train
        A = columns.fit_transform(train.X, train.y)
        logistic = LogisticRegression(C=found["strength"], max_iter=300).fit(A, train.y, sample_weight=train.weight)
        return SklearnModel(columns, logistic, len(fold.classes), found=found)

    def _choose_classifier(self, fold: Fold, context: Context, answer: str) -> dict[str, Any]:
        """The fields that cross-validation chooses by log loss."""
        from sklearn.linear_model import LogisticRegression

        if self.strength is not None and self.bends is not None:
            return {"strength": self.strength, "bends": self.bends}
        strengths = STRENGTHS if self.strength is None else (self.strength,)
        best: tuple[float, dict[str, Any]] | None = None
        began = time.time()
        for bends in self._bends():
            if best is not None and context.remaining() < 2 * KNOTS * (time.time() - began):
                break
            frame = _choice_rows(fold.train, context.seed)
            told = np.zeros((len(strengths), len(frame), len(fold.classes)))
            for train, rest in _folds(frame, classified=True, seed=context.seed):
                columns = dense(fold.schema, answer=answer, knots=KNOTS * bends, seed=context.seed)
                A, B = columns.fit_transform(train.X, train.y), columns.transform(frame.X.iloc[rest])
                logistic = LogisticRegression(max_iter=100, warm_start=True)
                for place, strength in enumerate(strengths):
                    logistic.set_params(C=strength).fit(A, train.y, sample_weight=train.weight)
                    told[place, rest] = widen(logistic.predict_proba(B), logistic.classes_, len(fold.classes))
            for strength, probabilities in zip(strengths, told, strict=True):
                score = loss(probabilities, frame.y, frame.weight)
                if best is None or score < best[0]:
                    best = (score, {"strength": strength, "bends": bends})
        assert best is not None  # there is at least one candidate
        return best[1]


def ridge_path(
    A: np.ndarray, z: np.ndarray, B: np.ndarray, weight: np.ndarray | None, penalties: tuple[float, ...]
) -> np.ndarray:
    """Ridge predictions for rows B under every penalty from one eigendecomposition, shape (penalties, rows of B)."""
    w = np.ones(len(z)) if weight is None else weight
    centre, level = np.average(A, axis=0, weights=w), np.average(z, weights=w)
    A = A - centre
    values, vectors = np.linalg.eigh(A.T @ (A * w[:, None]))
    rotated = vectors.T @ (A.T @ (w * (z - level)))
    shrunk = rotated / (np.maximum(values, 0.0) + np.asarray(penalties)[:, None])
    return np.asarray(shrunk @ ((B - centre) @ vectors).T + level)


def sample(rows: int, most: int, *, seed: int) -> np.ndarray | None:
    """The rows to keep, sorted, when there are more than `most`; None: all."""
    if rows <= most:
        return None
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _choice_rows(train: Frame, seed: int) -> Frame:
    rows = sample(len(train), CHOICE_ROWS, seed=seed)
    return train if rows is None else train.take(rows)


def _folds(frame: Frame, *, classified: bool, seed: int) -> Iterator[tuple[Frame, np.ndarray]]:
    """(training part, places of the rest) of each fold: groups kept whole, else classes in equal shares if enough."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    if frame.group is not None and len(np.unique(frame.group)) >= FOLDS:
        for train, rest in GroupKFold(FOLDS).split(frame.group, groups=frame.group):
            yield frame.take(train), rest
        return
    enough = classified and np.bincount(frame.y).max() >= FOLDS
    kind = StratifiedKFold if enough else KFold
    folds = kind(min(FOLDS, len(frame)), shuffle=True, random_state=seed)
    for train, rest in folds.split(np.zeros(len(frame)), frame.y if enough else None):
        if classified and len(np.unique(frame.y[train])) < 2:
            continue
        yield frame.take(train), rest
