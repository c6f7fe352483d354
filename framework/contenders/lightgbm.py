"""LightGBM, stopped early on the validation rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.boosting import ClassWeight, Pairs, Plan, pairs, planned, scoring
from framework.contenders.boosting_crew import Alone
from framework.contenders.native import Native
from framework.contenders.probabilities import pair
from framework.contenders.target import quantile_of
from framework.contenders.xgboost import SMALL
from framework.data.frame import Fold
from framework.problem import Kind, Problem
from framework.search_space import Real, Settings, Space, Whole

if TYPE_CHECKING:
    import lightgbm

BOOSTER = "booster.txt"
CARD = "lightgbm.json"
EVALS = {
    "binary": {"pr_auc": "average_precision"},  # ROC AUC: log loss stops at the better round, AUC is noise early on
    "regression": {"mae": "l1", "mape": "mape"},
}


@dataclass(frozen=True)
class LightGBM:
    """Leaf-wise boosting with categories and gaps as LightGBM handles them itself.

    rounds: at most; patience: rounds without gain on the validation rows before it stops, 0 to run all rounds.
    leaves: None: 15 for a table of fewer than 20,000 rows, else 31.
    A deadline that leaves time for few rounds raises the learning rate, up to 0.3.
    workers, class_weight, monotone, engine: as in XGBoost. objective: the engine's own ("lambdarank", where the
    problem's group is the query): the raw score is then the prediction. It has none for censored times, and keeps all
    bins of a worker's rows in memory, a byte a cell: what is larger, and survival, are for XGBoost.
    """

    rounds: int = 2000
    learning_rate: float = 0.03
    leaves: int | None = None
    leaf_rows: int = 20  # a leaf has at least this many rows
    subsample: float = 0.8
    columns: float = 0.5  # share of columns that a tree sees
    l2: float = 1.0
    patience: int = 50
    name: str = "lightgbm"
    cpus: float = 1.0
    workers: int = 1
    checkpoint_rounds: int = 50  # between two checkpoints of a fit on several workers
    class_weight: ClassWeight = None
    monotone: Mapping[str, int] | Pairs = ()
    objective: str | None = None
    engine: Mapping[str, Any] | Pairs = ()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("framework.contenders.lightgbm_rounds",)
    pooled: ClassVar[bool] = True
    # Ranges: Salinas & Erickson 2024 (TabRepo), the regularisation's as of XGBoost. Settings: TabRepo's r131, r96 and
    # r130, AutoGluon's "Large", and the engine's own defaults.
    space: ClassVar[Space] = {
        "learning_rate": Real(0.005, 0.3, log=True),
        "leaves": Whole(7, 255, log=True),
        "leaf_rows": Whole(2, 60, log=True),
        "subsample": Real(0.5, 1.0),
        "columns": Real(0.3, 1.0),
        "l2": Real(0.001, 100.0, log=True),
    }
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"learning_rate": 0.0121, "leaves": 53, "leaf_rows": 14, "subsample": 1.0, "columns": 0.702, "l2": 0.001},
        {"learning_rate": 0.0152, "leaves": 16, "leaf_rows": 48, "subsample": 1.0, "columns": 0.564, "l2": 0.001},
        {"learning_rate": 0.0471, "leaves": 89, "leaf_rows": 56, "subsample": 1.0, "columns": 0.625, "l2": 0.001},
        {"learning_rate": 0.03, "leaves": 128, "leaf_rows": 3, "subsample": 1.0, "columns": 0.9, "l2": 0.001},
        {"learning_rate": 0.1, "leaves": 31, "leaf_rows": 20, "subsample": 1.0, "columns": 1.0, "l2": 0.001},
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "monotone", pairs(self.monotone))
        object.__setattr__(self, "engine", pairs(self.engine))

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=self.workers, apart=self.workers > 1)

    def fit(self, fold: Fold, context: Context) -> "LightGBMModel":
        from framework.contenders import lightgbm_rounds

        plan = self._plan(fold, context)
        if self.workers > 1:
            text, found = self._conduct(fold, plan, context)
        else:
            text, found = lightgbm_rounds.rounds(fold.rows, fold.train, fold.valid, plan, Alone(context))
        found = {**found, "leaves": plan.engine["num_leaves"]}
        return LightGBMModel(plan.native, text, _open(text), len(fold.classes), found, scoring(self.objective))

    def settled(self, model: Model) -> "LightGBM":
        return replace(self, **model.found, patience=0) if isinstance(model, LightGBMModel) else self

    def _plan(self, fold: Fold, context: Context) -> Plan:
        settings = {**_question(fold.problem, len(fold.classes)), **self._settings(context, len(fold.rows))}
        return planned(self, fold, context, engine="lightgbm", settings=settings, metric="metric")

    def _conduct(self, fold: Fold, plan: Plan, context: Context) -> tuple[str, dict[str, Any]]:
        import ray

        from framework.contenders.lightgbm_rounds import boost
        from framework.training import on_ray

        sample = ray.put(fold.train)
        told = {"plan": plan, "data": (fold.shards or sample, sample, ray.put(fold.valid))}
        text, found = on_ray.run(boost, told, engine="lightgbm", resources=self.resources, context=context)
        return text, found

    def _settings(self, context: Context, rows: int) -> dict[str, Any]:
        return {
            "verbosity": -1,
            "num_threads": context.threads if self.workers == 1 else max(1, int(self.cpus)),
            "seed": context.seed,
            "deterministic": True,
            "force_col_wise": True,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves or (15 if rows < SMALL else 31),
            "min_data_in_leaf": max(1, min(self.leaf_rows, rows // 20)),
            "min_data_per_group": max(1, min(50, rows // 20)),
            "bagging_fraction": self.subsample,
            "bagging_freq": 1,
            "feature_fraction": self.columns,
            "lambda_l2": self.l2,
        }


@dataclass(frozen=True)
class LightGBMModel:
    """A booster, its text, and the columns it takes. classes: 0 for values. found: as in XGBoostModel."""

    native: Native
    text: str = field(repr=False)
    booster: "lightgbm.Booster" = field(repr=False)
    classes: int
    found: dict[str, Any]
    raw: bool = False  # the prediction is the raw score

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.scores(self.native.matrix(X))

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """The same of rows as `native.matrix` has them."""
        if not len(rows):
            return np.empty((0, self.classes)) if self.classes else np.empty(0)
        told = np.asarray(self.booster.predict(rows, num_threads=1, raw_score=self.raw), dtype=np.float64)
        if self.classes == 2:
            return pair(told)
        return np.asarray(told / told.sum(axis=1, keepdims=True)) if self.classes else told

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        (folder / BOOSTER).write_text(self.text, encoding="utf-8")
        card = {"classes": self.classes, "found": self.found, "raw": self.raw}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        text = (folder / BOOSTER).read_text(encoding="utf-8")
        if not text.rstrip().endswith("pandas_categorical:null"):
            raise ValueError(f"{folder / BOOSTER} is cut short")
        return cls(Native.load(folder), text, _open(text), card["classes"], card["found"], card.get("raw", False))


def _open(text: str) -> "lightgbm.Booster":
    import lightgbm

    return lightgbm.Booster(model_str=text)


def _question(problem: Problem, classes: int) -> dict[str, Any]:
    """The engine's objective and the metric it stops by, the problem's own where the engine has it."""
    evals = EVALS.get(problem.kind, {})
    if problem.kind == "binary":
        return {"objective": "binary", "metric": evals.get(problem.metric, "binary_logloss")}
    if problem.kind == "multiclass":
        return {"objective": "multiclass", "num_class": classes, "metric": "multi_logloss"}
    if problem.metric.startswith("pinball"):
        return {"objective": "quantile", "alpha": quantile_of(problem.metric), "metric": "quantile"}
    objective = "l1" if problem.metric == "mae" else "l2"
    return {"objective": objective, "metric": evals.get(problem.metric, "rmse")}
