"""Support vector machines with a Gaussian kernel, on as many rows as the time allows."""

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.linear import sample
from framework.contenders.preprocess import IMPORTS, dense
from framework.contenders.probabilities import loss, widen
from framework.contenders.sklearn_model import SklearnModel
from framework.contenders.target import Target
from framework.data.frame import Fold
from framework.problem import Kind
from framework.search_space import Real, Settings, Space

TRIAL_ROWS = 1_500  # that the strength is chosen on
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
PARTS = 3  # of the rows, for calibrating probabilities


@dataclass(frozen=True)
class SVM:
    """A support vector classifier with calibrated probabilities, or regressor.

    strength: C; None: chosen on training rows held back. rows: training rows at most: its time grows with their square.
    """

    strength: float | None = None
    rows: int = 10_000
    name: str = "svm"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("sklearn.svm", "sklearn.calibration", "sklearn.model_selection", *IMPORTS)
    pooled: ClassVar[bool] = True
    # Range: Hsu, Chang and Lin 2003, "A practical guide to support vector classification".
    space: ClassVar[Space] = {"strength": Real(0.03125, 32768.0, log=True)}
    portfolio: ClassVar[tuple[Settings, ...]] = ({"strength": 1.0}, {"strength": 10.0}, {"strength": 100.0})

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> SklearnModel:
        classes = len(fold.classes)
        answer = "continuous" if not classes else "binary" if classes == 2 else "multiclass"
        kept = sample(len(fold.train), self.rows, seed=context.seed)
        train = fold.train if kept is None else fold.train.take(kept)
        columns = dense(fold.schema, answer=answer, seed=context.seed)
        points = columns.fit_transform(train.X, train.y)
        target = Target() if classes else Target.learn(train.y, train.weight)
        y = train.y if classes else target.forward(train.y)
        order = np.random.default_rng(context.seed).permutation(len(y))
        strength, seconds = self._choose(points, y, train.weight, order[:TRIAL_ROWS], classes)
        rows = order[: affordable(len(y), min(TRIAL_ROWS, len(y)), seconds, context.remaining())]
        weight = None if train.weight is None else train.weight[rows]
        machine = _machine(strength, classes, y[rows], context.seed).fit(points[rows], y[rows], sample_weight=weight)
        return SklearnModel(columns, machine, classes, target, {"strength": strength})

    def settled(self, model: Model) -> "SVM":
        return replace(self, **model.found) if isinstance(model, SklearnModel) else self

    def _choose(
        self, points: np.ndarray, y: np.ndarray, weight: np.ndarray | None, rows: np.ndarray, classes: int
    ) -> tuple[float, float]:
        """The strength that errs least on a third of these rows, and the seconds of the slowest fit."""
        cut = max(1, len(rows) * 2 // 3)
        learn, test = rows[:cut], rows[cut:] if len(rows) > 1 else rows
        if classes and len(np.unique(y[learn])) < 2:
            return self.strength or 1.0, 0.0
        errors: dict[float, float] = {}
        slowest = 0.0
        for strength in STRENGTHS if self.strength is None else (self.strength,):
            began = time.time()
            given = None if weight is None else weight[learn]
            machine = _machine(strength, classes, y[learn], 0).fit(points[learn], y[learn], sample_weight=given)
            slowest = max(slowest, time.time() - began)
            counted = None if weight is None else weight[test]
            if classes:
                told = widen(machine.predict_proba(points[test]), machine.classes_, classes)
                errors[strength] = loss(told, y[test], counted)
            else:
                errors[strength] = float(np.average((machine.predict(points[test]) - y[test]) ** 2, weights=counted))
        return min(errors, key=errors.__getitem__), slowest * (len(rows) / cut) ** 2


def affordable(rows: int, tried: int, seconds: float, remaining: float) -> int:
    """How many rows 60 % of the time left is enough for, where `tried` took `seconds` and time is as their square."""
    if seconds <= 0 or remaining == float("inf"):
        return rows
    return min(rows, max(tried // 2, int(tried * (0.6 * remaining / seconds) ** 0.5)))


def _machine(strength: float, classes: int, y: np.ndarray, seed: int) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC, SVR

    if not classes:
        return SVR(C=strength)
    least = int(np.bincount(y)[np.unique(y)].min())
    if least < 2:
        from sklearn.model_selection import KFold

        folds: Any = KFold(min(PARTS, len(y)), shuffle=True, random_state=seed)
    else:
        folds = StratifiedKFold(min(PARTS, least), shuffle=True, random_state=seed)
    return CalibratedClassifierCV(SVC(C=strength), cv=folds, ensemble=False)
