"""LightGBM, stopped early on the validation rows."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.native import Native
from framework.contenders.probabilities import pair
from framework.contenders.target import quantile_of
from framework.contenders.watch import Watch
from framework.contenders.xgboost import FEW_ROUNDS, PROBE_ROUNDS, SMALL, larger_step
from framework.data.frame import Fold
from framework.problem import Kind, Problem

if TYPE_CHECKING:
    import lightgbm

BOOSTER = "booster.txt"
CARD = "lightgbm.json"
LARGER = ("average_precision",)  # engine metrics of which more is better
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
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "LightGBMModel":
        import lightgbm

        engine = {**_question(fold.problem, len(fold.classes)), **self._settings(context, len(fold.train))}
        native = Native.learn(fold.schema, fold.train.X, seed=context.seed)
        codes = [place for place, code in enumerate(native.categorical) if code]
        frame = fold.train
        train = lightgbm.Dataset(
            native.matrix(frame.X), frame.y, weight=frame.weight, categorical_feature=codes, params=engine
        )
        valid = []
        if len(fold.valid):
            valid = [train.create_valid(native.matrix(fold.valid.X), fold.valid.y, weight=fold.valid.weight)]
        train.construct()
        watch = Watch(context, self.patience, larger=engine["metric"] in LARGER)
        steps = _Steps(watch, self.learning_rate)
        booster = lightgbm.train(engine, train, self.rounds, valid_sets=valid, callbacks=[steps])
        rounds = watch.best_round + 1
        found = {"rounds": rounds, "learning_rate": steps.learning_rate, "leaves": engine["num_leaves"]}
        text = booster.model_to_string(num_iteration=rounds)
        return LightGBMModel(native, text, _open(text), len(fold.classes), found)

    def settled(self, model: Model) -> "LightGBM":
        return replace(self, **model.found, patience=0) if isinstance(model, LightGBMModel) else self

    def _settings(self, context: Context, rows: int) -> dict[str, Any]:
        return {
            "verbosity": -1,
            "num_threads": context.threads,
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

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        if not len(X):
            return np.empty((0, self.classes)) if self.classes else np.empty(0)
        told = np.asarray(self.booster.predict(self.native.matrix(X), num_threads=1), dtype=np.float64)
        if self.classes == 2:
            return pair(told)
        return np.asarray(told / told.sum(axis=1, keepdims=True)) if self.classes else told

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        (folder / BOOSTER).write_text(self.text, encoding="utf-8")
        card = {"classes": self.classes, "found": self.found}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        text = (folder / BOOSTER).read_text(encoding="utf-8")
        if not text.rstrip().endswith("pandas_categorical:null"):
            raise ValueError(f"{folder / BOOSTER} is cut short")
        return cls(Native.load(folder), text, _open(text), card["classes"], card["found"])


class _Steps:
    """The engine's callback: reports, watches, and takes larger steps when there is time for few."""

    order = 30
    before_iteration = False

    def __init__(self, watch: Watch, learning_rate: float) -> None:
        self.watch, self.learning_rate = watch, learning_rate

    def __call__(self, env: Any) -> None:
        import lightgbm

        score = None
        if env.evaluation_result_list:
            _, metric, score, _ = env.evaluation_result_list[0][:4]
            self.watch.context.report(env.iteration, **{f"valid_{metric}": float(score)})
        if env.iteration + 1 == PROBE_ROUNDS and self.watch.affordable < FEW_ROUNDS:
            self.learning_rate = larger_step(self.learning_rate, self.watch.affordable)
            env.model.reset_parameter({"learning_rate": self.learning_rate})
        if self.watch.stop(env.iteration, score):
            raise lightgbm.callback.EarlyStopException(self.watch.best_round, env.evaluation_result_list)


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
