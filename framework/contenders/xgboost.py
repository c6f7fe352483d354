"""XGBoost, stopped early on the validation rows."""

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
from framework.data.frame import Fold, Frame
from framework.problem import Kind, Problem

if TYPE_CHECKING:
    import xgboost

BOOSTER = "booster.ubj"
CARD = "xgboost.json"
EVALS: dict[str, dict[str, str]] = {
    "binary": {"pr_auc": "aucpr"},  # ROC AUC: log loss stops at the better round, AUC is noise early on
    "multiclass": {},
    "regression": {"mae": "mae", "mape": "mape", "rmsle": "rmsle"},
}
LARGER = ("aucpr",)  # engine metrics of which more is better
FEW_ROUNDS = 200  # with time for fewer, larger steps are taken
LARGEST_STEP = 0.3
SMALL = 20_000  # rows; below, shallow trees did better on every table tried
MANY_ROWS = 10_000  # from which a prediction is worth more than one thread
PROBE_ROUNDS = 5  # after which the time of a round is known


@dataclass(frozen=True)
class XGBoost:
    """Histogram boosting with categories and gaps as XGBoost handles them itself.

    rounds: at most; patience: rounds without gain on the validation rows before it stops, 0 to run all rounds.
    depth: None: 4 for a table of fewer than 20,000 rows, else 6.
    A deadline that leaves time for few rounds raises the learning rate, up to 0.3.
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
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, gpus=self.gpus)

    def fit(self, fold: Fold, context: Context) -> "XGBoostModel":
        import xgboost

        engine = {**_question(fold.problem, len(fold.classes)), **self._settings(context, len(fold.train))}
        native = Native.learn(fold.schema, fold.train.X, seed=context.seed)
        types = ["c" if code else "q" for code in native.categorical]

        def quantised(frame: Frame, ref: Any = None) -> "xgboost.QuantileDMatrix":
            rows = native.matrix(frame.X)
            facts: dict[str, Any] = {"weight": frame.weight, "nthread": context.threads, "feature_types": types}
            return xgboost.QuantileDMatrix(rows, frame.y, ref=ref, enable_categorical=any(native.categorical), **facts)

        train = quantised(fold.train)
        evals = [(quantised(fold.valid, train), "valid")] if len(fold.valid) else []
        watch = Watch(context, self.patience, larger=engine["eval_metric"] in LARGER)
        steps = _steps(watch, self.learning_rate, str(engine["eval_metric"]))
        with xgboost.config_context(verbosity=0):
            booster = xgboost.train(engine, train, self.rounds, evals=evals, callbacks=[steps], verbose_eval=False)
        rounds = watch.best_round + 1
        if rounds < booster.num_boosted_rounds():
            booster = booster[:rounds]
        found = {"rounds": rounds, "learning_rate": steps.learning_rate, "depth": engine["max_depth"]}
        booster.set_param({"nthread": 1, "device": "cpu"})
        return XGBoostModel(native, booster, len(fold.classes), found)

    def settled(self, model: Model) -> "XGBoost":
        return replace(self, **model.found, patience=0) if isinstance(model, XGBoostModel) else self

    def _settings(self, context: Context, rows: int) -> dict[str, Any]:
        return {
            "tree_method": "hist",
            "device": "cuda" if context.gpus > 0 else "cpu",
            "nthread": context.threads,
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

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        many = len(X) >= MANY_ROWS
        if many:
            self.booster.set_param({"nthread": 0})  # as many as OMP_NUM_THREADS or the machine has
        told = self.booster.inplace_predict(self.native.matrix(X), validate_features=False)
        if many:
            self.booster.set_param({"nthread": 1})
        if self.classes == 2:
            return pair(told.astype(np.float64))
        if self.classes:
            wide = told.astype(np.float64)
            return np.asarray(wide / wide.sum(axis=1, keepdims=True))
        return np.asarray(told, dtype=np.float64).reshape(len(X))

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        self.booster.save_model(folder / BOOSTER)
        card = {"classes": self.classes, "found": self.found}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        import xgboost

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        raw = (folder / BOOSTER).read_bytes()
        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(raw))
        except xgboost.core.XGBoostError as error:
            raise ValueError(f"{folder / BOOSTER} does not open: {str(error).splitlines()[0]}") from error
        return cls(Native.load(folder), booster, card["classes"], card["found"])


def _question(problem: Problem, classes: int) -> dict[str, Any]:
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


def _steps(watch: Watch, learning_rate: float, metric: str) -> Any:
    """The engine's callback: reports, watches, and takes larger steps when there is time for few."""
    import xgboost

    class Steps(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.learning_rate = learning_rate

        def after_iteration(self, model: "xgboost.Booster", epoch: int, evals_log: Any) -> bool:
            score = float(evals_log["valid"][metric][-1]) if evals_log else None
            if score is not None:
                watch.context.report(epoch, **{f"valid_{metric}": score})
            if epoch + 1 == PROBE_ROUNDS and watch.affordable < FEW_ROUNDS:
                self.learning_rate = larger_step(learning_rate, watch.affordable)
                model.set_param({"learning_rate": self.learning_rate})
            return watch.stop(epoch, score)

    return Steps()


def larger_step(learning_rate: float, affordable: float) -> float:
    """The learning rate that comes as far in the affordable rounds as this one in FEW_ROUNDS; at most LARGEST_STEP."""
    return max(learning_rate, min(LARGEST_STEP, learning_rate * FEW_ROUNDS / max(1.0, affordable)))
