"""XGBoost, stopped early on the validation rows."""

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
from framework.data.frame import Fold
from framework.problem import Kind, Problem
from framework.search_space import Real, Settings, Space, Whole

if TYPE_CHECKING:
    import xgboost

BOOSTER = "booster.ubj"
CARD = "xgboost.json"
EVALS: dict[str, dict[str, str]] = {
    "binary": {"pr_auc": "aucpr"},  # ROC AUC: log loss stops at the better round, AUC is noise early on
    "multiclass": {},
    "regression": {"mae": "mae", "mape": "mape", "rmsle": "rmsle"},
}
SMALL = 20_000  # rows; below, shallow trees did better on every table tried
MANY_ROWS = 10_000  # from which a prediction is worth more than one thread


@dataclass(frozen=True)
class XGBoost:
    """Histogram boosting with categories and gaps as XGBoost handles them itself.

    rounds: at most; patience: rounds without gain on the validation rows before it stops, 0 to run all rounds.
    depth: None: 4 for a table of fewer than 20,000 rows, else 6.
    A deadline that leaves time for few rounds raises the learning rate, up to 0.3.
    workers: processes of Ray Train, each with an equal part of the rows; a worker's part goes to its disk where it
    exceeds its memory. Rows in files are read block by block by any number of workers.
    class_weight: "balanced" makes all classes count the same. monotone: column → 1 (rising) or -1 (falling).
    objective: the engine's own ("survival:cox", where a negative target is a censored time; "rank:ndcg", where the
    problem's group is the query): the raw score is then the prediction. engine: any other parameters of the engine.
    """

    rounds: int = 2000
    learning_rate: float = 0.03
    depth: int | None = None
    min_child_weight: float = 3.0
    subsample: float = 0.8
    columns: float = 0.5  # share of columns that a tree sees
    l2: float = 1.0
    patience: int = 50
    name: str = "xgboost"
    cpus: float = 1.0
    gpus: float = 0.0
    workers: int = 1
    memory_gigabytes: float = 0.0  # of a worker's rows; 0: its share of the machine's free memory
    checkpoint_rounds: int = 50  # between two checkpoints of a fit on several workers
    class_weight: ClassWeight = None
    monotone: Mapping[str, int] | Pairs = ()
    objective: str | None = None
    engine: Mapping[str, Any] | Pairs = ()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("framework.contenders.xgboost_rounds",)
    pooled: ClassVar[bool] = True
    # Ranges: Grinsztajn et al. 2022, appendix A.3. Settings: TabRepo's r34, r22 and r95 (Salinas & Erickson 2024), and
    # the engine's own defaults.
    space: ClassVar[Space] = {
        "learning_rate": Real(0.005, 0.3, log=True),
        "depth": Whole(2, 10),
        "min_child_weight": Real(0.5, 100.0, log=True),
        "subsample": Real(0.5, 1.0),
        "columns": Real(0.3, 1.0),
        "l2": Real(0.001, 100.0, log=True),
    }
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"learning_rate": 0.0294, "depth": 10, "min_child_weight": 1.15, "subsample": 1.0, "columns": 0.546, "l2": 1.0},
        {"learning_rate": 0.0779, "depth": 6, "min_child_weight": 1.08, "subsample": 1.0, "columns": 0.633, "l2": 1.0},
        {"learning_rate": 0.0663, "depth": 5, "min_child_weight": 1.41, "subsample": 1.0, "columns": 0.976, "l2": 1.0},
        {"learning_rate": 0.3, "depth": 6, "min_child_weight": 1.0, "subsample": 1.0, "columns": 1.0, "l2": 1.0},
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "monotone", pairs(self.monotone))
        object.__setattr__(self, "engine", pairs(self.engine))

    @property
    def resources(self) -> Resources:
        return Resources(self.cpus, self.gpus, self.memory_gigabytes, workers=self.workers, apart=self.workers > 1)

    def fit(self, fold: Fold, context: Context) -> "XGBoostModel":
        from framework.contenders import xgboost_rounds

        plan = self._plan(fold, context)
        if self.workers > 1:
            raw, found = self._conduct(fold, plan, context)
        else:
            crew = Alone(context)
            raw, found = xgboost_rounds.rounds(fold.rows, fold.train, fold.valid, plan, crew, folder=context.folder)
        booster = open_booster(raw)
        found = {**found, "depth": plan.engine["max_depth"]}
        return XGBoostModel(plan.native, booster, len(fold.classes), found, scoring(self.objective))

    def settled(self, model: Model) -> "XGBoost":
        return replace(self, **model.found, patience=0) if isinstance(model, XGBoostModel) else self

    def _plan(self, fold: Fold, context: Context) -> Plan:
        settings = {**question(fold.problem, len(fold.classes)), **self._settings(context, len(fold.rows))}
        memory = int(self.memory_gigabytes * 2**30)
        return planned(self, fold, context, engine="xgboost", settings=settings, metric="eval_metric", memory=memory)

    def _conduct(self, fold: Fold, plan: Plan, context: Context) -> tuple[bytes, dict[str, Any]]:
        import ray

        from framework.contenders.xgboost_rounds import boost
        from framework.training import on_ray

        sample = ray.put(fold.train)
        told = {"plan": plan, "data": (fold.shards or sample, sample, ray.put(fold.valid))}
        raw, found = on_ray.run(boost, told, engine="xgboost", resources=self.resources, context=context)
        return raw, found

    def _settings(self, context: Context, rows: int) -> dict[str, Any]:
        return {
            "tree_method": "hist",
            "device": "cuda" if self.gpus > 0 or context.gpus > 0 else "cpu",
            "nthread": context.threads if self.workers == 1 else max(1, int(self.cpus)),
            "seed": context.seed,
            "learning_rate": self.learning_rate,
            "max_depth": self.depth or (4 if rows < SMALL else 6),
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.columns,
            "reg_lambda": self.l2,
        }


@dataclass(frozen=True)
class XGBoostModel:
    """A booster and the columns it takes. classes: 0 for values. found: rounds and settings as they came to be."""

    native: Native
    booster: "xgboost.Booster" = field(repr=False)
    classes: int
    found: dict[str, Any]
    raw: bool = False  # the prediction is the raw score

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.scores(self.native.matrix(X))

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """The same of rows as `native.matrix` has them."""
        many = len(rows) >= MANY_ROWS
        if many:
            self.booster.set_param({"nthread": 0})  # as many as OMP_NUM_THREADS or the machine has
        kind = "margin" if self.raw else "value"
        told = self.booster.inplace_predict(rows, predict_type=kind, validate_features=False)
        if many:
            self.booster.set_param({"nthread": 1})
        if self.classes == 2:
            return pair(told.astype(np.float64))
        if self.classes:
            wide = told.astype(np.float64)
            return np.asarray(wide / wide.sum(axis=1, keepdims=True))
        return np.asarray(told, dtype=np.float64).reshape(len(rows))

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        self.booster.save_model(folder / BOOSTER)
        card = {"classes": self.classes, "found": self.found, "raw": self.raw}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        try:
            booster = open_booster((folder / BOOSTER).read_bytes())
        except ValueError as error:
            raise ValueError(f"{folder / BOOSTER} {error}") from error
        return cls(Native.load(folder), booster, card["classes"], card["found"], card.get("raw", False))


def open_booster(raw: bytes) -> "xgboost.Booster":
    """A model's UBJ bytes, to be asked on one CPU. Raises ValueError when they are cut short."""
    import xgboost

    booster = xgboost.Booster({"nthread": 1, "device": "cpu"})
    try:
        booster.load_model(bytearray(raw))
    except xgboost.core.XGBoostError as error:
        raise ValueError(f"does not open: {str(error).splitlines()[0]}") from error
    booster.set_param({"nthread": 1, "device": "cpu"})
    return booster


def question(problem: Problem, classes: int) -> dict[str, Any]:
    """The engine's objective and the metric it stops by, the problem's own where the engine has it."""
    evals = EVALS[problem.kind]
    if problem.kind == "binary":
        return {"objective": "binary:logistic", "eval_metric": evals.get(problem.metric, "logloss")}
    if problem.kind == "multiclass":
        return {
            "objective": "multi:softprob",
            "num_class": classes,
            "eval_metric": evals.get(problem.metric, "mlogloss"),
        }
    if problem.metric.startswith("pinball"):
        return {
            "objective": "reg:quantileerror",
            "quantile_alpha": quantile_of(problem.metric),
            "eval_metric": "quantile",
        }
    objective = "reg:absoluteerror" if problem.metric == "mae" else "reg:squarederror"
    return {"objective": objective, "eval_metric": evals.get(problem.metric, "rmse")}
