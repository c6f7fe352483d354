"""Quick models of some rows, each asked about rows that it has not learned: to judge columns by."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from framework.contenders.preprocess import dense
from framework.data.frame import Fold, Frame
from framework.features.made import Answer

if TYPE_CHECKING:
    import lightgbm

ROUNDS = 120
ANSWERS: dict[str, Answer] = {"binary": "binary", "multiclass": "multiclass", "regression": "continuous"}
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "l2"}
PENALTY, STRENGTH = 10.0, 0.1  # of a ridge, of a logistic regression
KNOTS = 5


def booster(fold: Fold, train: Frame, matrix: np.ndarray, *, seed: int, coded: list[int]) -> "lightgbm.Booster":
    """A small booster on these columns of the rows `train`. coded: places of columns that hold codes of categories."""
    import lightgbm

    settings = {
        "objective": OBJECTIVES[fold.problem.kind],
        "num_class": len(fold.classes) if fold.problem.kind == "multiclass" else 1,
        "num_leaves": 15,
        "learning_rate": 0.06,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "min_data_in_leaf": max(1, min(20, len(matrix) // 20)),
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    rows = lightgbm.Dataset(matrix, train.y, weight=train.weight, categorical_feature=coded, params=settings)
    return lightgbm.train(settings, rows, ROUNDS)


def tree_losses(fold: Fold, matrix: np.ndarray, parts: np.ndarray, *, seed: int, coded: list[int]) -> np.ndarray:
    """Each training row's log loss or squared error by a small booster of the other parts, by weight, shape (rows,).

    matrix: the rows' columns; parts: each row's part.
    """

    def told(learn: np.ndarray, held: np.ndarray) -> np.ndarray:
        fitted = booster(fold, fold.train.take(learn), matrix[learn], seed=seed, coded=coded)
        return np.asarray(fitted.predict(matrix[held]), dtype=np.float64).reshape(len(held), -1)

    y, weight = fold.train.y, weights(fold.train)
    answers = _held_out(parts, told)
    if not fold.problem.classified:
        return np.asarray(weight * (y - answers[:, 0]) ** 2)
    if answers.shape[1] == 1:
        answers = np.column_stack([1 - answers, answers])
    return np.asarray(-weight * np.log(np.clip(answers[np.arange(len(y)), y], 1e-7, 1.0)))


def linear_errors(fold: Fold, parts: np.ndarray, *, seed: int) -> np.ndarray:
    """What a linear model of the other parts leaves of each training row's answer, shape (rows, 1).

    For more than two classes, of each class's probability: shape (rows, classes).
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    train, answer = fold.train, ANSWERS[fold.problem.kind]

    def told(learn: np.ndarray, held: np.ndarray) -> np.ndarray:
        rows = train.take(learn)
        columns = dense(fold.schema, answer=answer, knots=KNOTS, seed=seed)
        matrix, asked = columns.fit_transform(rows.X, rows.y), columns.transform(train.X.iloc[held])
        if answer == "continuous":
            return np.asarray(Ridge(PENALTY).fit(matrix, rows.y, sample_weight=rows.weight).predict(asked))[:, None]
        logistic = LogisticRegression(C=STRENGTH, max_iter=100).fit(matrix, rows.y, sample_weight=rows.weight)
        chances = np.asarray(logistic.predict_proba(asked))
        return chances[:, 1:] if answer == "binary" else chances

    answers = _held_out(parts, told)
    y = train.y[:, None]
    return np.asarray((y == np.arange(answers.shape[1]) if answer == "multiclass" else y) - answers)


def weights(rows: Frame) -> np.ndarray:
    """The rows' weights, 1 on the average."""
    return np.ones(len(rows)) if rows.weight is None else rows.weight / rows.weight.mean()


def sure(gain: np.ndarray) -> float:
    """How many standard errors the mean of the rows' gains is above 0."""
    error = float(gain.std()) / np.sqrt(len(gain))
    return float(gain.mean()) / error if error > 0 else 0.0


def _held_out(parts: np.ndarray, told: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """The answers to each part by what has learned the others."""
    places = [(np.flatnonzero(parts != part), np.flatnonzero(parts == part)) for part in np.unique(parts)]
    answers = [told(learn, held) for learn, held in places]
    found = np.empty((len(parts), answers[0].shape[1]))
    for (_, held), answer in zip(places, answers, strict=True):
        found[held] = answer
    return found
