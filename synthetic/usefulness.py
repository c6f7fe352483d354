"""What synthetic rows are worth for learning: train on synthetic, test on real, over train on real, test on real."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from framework.data.data_error import DataError, nearest
from synthetic.codec import Categories, Numbers
from synthetic.space import Space
from synthetic.table import TableCodec

MOST_CLASSES = 20
FAMILIES = ("linear", "forest", "boosting")


@dataclass(frozen=True)
class Usefulness:
    """score: "ROC AUC" or "R²", on real rows that none saw. For each family of models what learning from the real
    rows, from half of them, and from the synthetic ones brings."""

    target: str
    score: str
    real: Mapping[str, float]
    half: Mapping[str, float]
    synthetic: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """Mean over families of learning from synthetic rows, over that of learning from real ones; nan where even
        those teach nothing."""
        return _over(self.synthetic, self.real)

    @property
    def ceiling(self) -> float:
        """The same ratio of half the real rows."""
        return _over(self.half, self.real)


def default_target(space: Space) -> str:
    """The last column that can be asked for: two to twenty classes, or numbers that vary."""
    for at in range(len(space.table.codecs) - 1, -1, -1):
        codec = space.table.codecs[at]
        if _classes(codec) or (isinstance(codec, Numbers) and codec.binned):
            return codec.name
    raise DataError("no column of the table can be told from the others: all are constant or have too many classes.")


def usefulness(
    space: Space,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    test: pd.DataFrame,
    *,
    target: str | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Usefulness:
    """What the target is told with on `test`, by models of three families that learned from each of the others.

    Raises DataError for a target that is not there, or has neither classes nor numbers to be told.
    """
    target = target or default_target(space)
    if target not in space.table.names:
        raise DataError(f"target {target!r} is no column. {nearest(target, space.table.names, what='columns')}")
    at = space.table.names.index(target)
    codec = space.table.codecs[at]
    classes = _classes(codec)
    if not classes and not (isinstance(codec, Numbers) and codec.binned):
        raise DataError(f"target {target!r} has neither 2 to {MOST_CLASSES} classes nor numbers that vary.")
    half = train.iloc[np.random.default_rng(seed).permutation(len(train))[: len(train) // 2]]
    told = [_scores(space, at, classes, rows, test, seed, threads) for rows in (train, half, synthetic)]
    return Usefulness(target, "ROC AUC" if classes else "R²", *told)


def _classes(codec: Categories | Numbers) -> int:
    """How many, where the column is one of classes; else 0."""
    values = len(codec.values) if isinstance(codec, Categories) else 0 if codec.binned else len(codec.atoms)
    most = MOST_CLASSES if isinstance(codec, Categories) else MOST_CLASSES // 2
    return values if 2 <= values <= most else 0


def _scores(
    space: Space, at: int, classes: int, rows: pd.DataFrame, test: pd.DataFrame, seed: int, threads: int
) -> dict[str, float]:
    from sklearn.metrics import r2_score, roc_auc_score

    told = {}
    (X, y), (X_test, y_test) = (_question(space, at, classes, frame) for frame in (rows, test))
    if classes and len(np.unique(y)) < 2:
        return dict.fromkeys(FAMILIES, 0.5)
    for family, model in _models(classes, seed, threads).items():
        linear = family == "linear"
        # Only the linear models need scaled numbers and no gaps.
        inputs = (_onehot(space, at, rows), _onehot(space, at, test)) if linear else (X, X_test)
        codes = np.unique(y, return_inverse=True) if classes else (None, y)
        model.fit(inputs[0], codes[1])
        if not classes:
            told[family] = float(r2_score(y_test, model.predict(inputs[1])))
            continue
        every = np.zeros((len(y_test), classes))
        every[:, codes[0]] = model.predict_proba(inputs[1])
        ranked = range(classes) if classes > 2 else [1]
        each = [roc_auc_score(y_test == code, every[:, code]) for code in ranked if len(np.unique(y_test == code)) == 2]
        told[family] = float(np.mean(each)) if each else float("nan")
    return told


def _models(classes: int, seed: int, threads: int) -> dict[str, Any]:
    import xgboost
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    trees = {"n_estimators": 100, "min_samples_leaf": 3, "n_jobs": threads, "random_state": seed}
    boosted = {"n_estimators": 150, "max_depth": 4, "learning_rate": 0.08, "n_jobs": threads, "random_state": seed}
    if classes:
        return {
            "linear": LogisticRegression(C=0.3, max_iter=500),
            "forest": ExtraTreesClassifier(**trees),
            "boosting": xgboost.XGBClassifier(**boosted),
        }
    return {
        "linear": Ridge(3.0),
        "forest": ExtraTreesRegressor(**trees),
        "boosting": xgboost.XGBRegressor(**boosted),
    }


def _question(space: Space, at: int, classes: int, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Features, missing as -1 below all, and answers of the rows that have one."""
    codec = space.table.codecs[at]
    there = codec.known(frame[codec.name])
    rows = frame[there]
    X = np.delete(space.numbers(rows), at, axis=1)
    least = np.nanmin(space.numbers(rows), initial=0.0) - 1
    y = codec.encode(rows[codec.name]).astype(np.int64) if classes else codec.numbers(rows[codec.name])  # type: ignore[union-attr]
    return np.where(np.isnan(X), least, X), y


def _onehot(space: Space, at: int, frame: pd.DataFrame) -> np.ndarray:
    """Points without the target's own dimensions, of the rows that have an answer."""
    codec = space.table.codecs[at]
    others = [each for place, each in enumerate(space.table.codecs) if place != at]
    reduced = Space(TableCodec(tuple(others)), np.delete(space.places, at, axis=1))
    return reduced.points(frame[codec.known(frame[codec.name])])


def _over(some: Mapping[str, float], others: Mapping[str, float]) -> float:
    below = float(np.mean(list(others.values())))
    return float(np.mean(list(some.values()))) / below if below > 0.05 else float("nan")
