"""CatBoost: boosting of symmetric trees, with ordered statistics of categories (Prokhorenkova et al. 2018)."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.boosting import FEW_ROUNDS, larger_step
from framework.contenders.native import Native
from framework.contenders.probabilities import pair
from framework.contenders.target import quantile_of
from framework.contenders.watch import Watch
from framework.data.frame import Fold, Frame
from framework.problem import Kind, Problem
from framework.search_space import Real, Settings, Space, Whole

if TYPE_CHECKING:
    import catboost

BOOSTER = "booster.cbm"
PROBE_ROUNDS = 15  # after which the time of a round is known: the first ones take several times as long
CARD = "catboost.json"


@dataclass(frozen=True)
class CatBoost:
    """Boosting of trees whose levels split alike, slow to overfit; categories become statistics of the answer, each
    row's by the rows before it in a random order, so that no row sees its own answer.

    rounds: at most; patience: rounds without gain on the validation rows before it stops, 0 to run all rounds.
    A deadline that leaves time for few rounds raises the learning rate, up to 0.3.
    """

    rounds: int = 2000
    learning_rate: float = 0.05
    depth: int = 6
    l2: float = 3.0
    columns: float = 1.0  # share of columns that a level may split by
    patience: int = 75
    name: str = "catboost"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("catboost",)
    pooled: ClassVar[bool] = True
    # Ranges: Salinas & Erickson 2024 (TabRepo), a little wider; settings: its r177, r13 and r137.
    space: ClassVar[Space] = {
        "learning_rate": Real(0.005, 0.2, log=True),
        "depth": Whole(3, 9),
        "l2": Real(0.5, 30.0, log=True),
        "columns": Real(0.4, 1.0),
    }
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"learning_rate": 0.0686, "depth": 6, "l2": 2.15, "columns": 1.0},
        {"learning_rate": 0.0173, "depth": 8, "l2": 3.33, "columns": 1.0},
        {"learning_rate": 0.0494, "depth": 4, "l2": 4.56, "columns": 1.0},
    )

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "CatBoostModel":
        import catboost

        native = Native.learn(fold.schema, fold.train.X, seed=context.seed)
        train, valid = _pool(native, fold.train), _pool(native, fold.valid) if len(fold.valid) else None
        rate = self.learning_rate
        while True:
            rounds = _Rounds(context, self.patience if valid is not None else 0)
            settings = {**_question(fold.problem, len(fold.classes)), **self._settings(context, rate)}
            booster = catboost.CatBoost(settings)
            booster.fit(train, eval_set=valid, use_best_model=False, callbacks=[rounds])
            affordable = rounds.watch.affordable
            if not rounds.probed or rate >= larger_step(rate, affordable):
                break
            rate = larger_step(rate, affordable)
        best = rounds.watch.best_round + 1
        if best < booster.tree_count_:
            booster.shrink(best)
        found = {"rounds": best, "learning_rate": rate}
        return CatBoostModel(native, booster, len(fold.classes), found)

    def settled(self, model: Model) -> "CatBoost":
        return replace(self, **model.found, patience=0) if isinstance(model, CatBoostModel) else self

    def _settings(self, context: Context, rate: float) -> dict[str, Any]:
        return {
            "iterations": self.rounds,
            "learning_rate": rate,
            "depth": self.depth,
            "l2_leaf_reg": self.l2,
            "rsm": self.columns,
            "random_seed": context.seed,
            "thread_count": context.threads,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }


class _Rounds:
    """The engine's callback: reports, and says when to stop.

    probed: it stopped after a few rounds, because too few more are affordable at this learning rate.
    """

    def __init__(self, context: Context, patience: int) -> None:
        self.watch, self.context, self.probed = Watch(context, patience), context, False

    def after_iteration(self, told: Any) -> bool:
        score, round_ = None, told.iteration - 1
        if scores := (told.metrics or {}).get("validation"):
            name, values = next(iter(scores.items()))
            score = float(values[-1])
            self.context.report(round_, **{f"valid_{name.split(':')[0].lower()}": score})
        stop = self.watch.stop(round_, score)
        if round_ + 1 == PROBE_ROUNDS and not stop and self.watch.affordable < FEW_ROUNDS:
            self.probed = True
        return not stop and not self.probed


@dataclass(frozen=True)
class CatBoostModel:
    """A booster and the columns it takes. classes: 0 for values. found: what early stopping settled."""

    native: Native
    booster: "catboost.CatBoost"
    classes: int
    found: dict[str, Any]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        if not len(X):
            return np.empty((0, self.classes)) if self.classes else np.empty(0)
        rows, kind = _columns(self.native, X), "Probability" if self.classes else "RawFormulaVal"
        told = np.asarray(self.booster.predict(rows, prediction_type=kind, thread_count=1), dtype=np.float64)
        return pair(told[:, 1]) if self.classes == 2 else told

    def pool(self, X: pd.DataFrame) -> "catboost.Pool":
        """Rows as the engine explains them."""
        import catboost

        places = [place for place, coded in enumerate(self.native.categorical) if coded]
        return catboost.Pool(_columns(self.native, X), cat_features=places)

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        self.booster.save_model(str(folder / BOOSTER), format="cbm")
        (folder / CARD).write_text(json.dumps({"classes": self.classes, "found": self.found}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        import catboost

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        booster = catboost.CatBoost()
        try:
            booster.load_model(str(folder / BOOSTER), format="cbm")
        except catboost.CatBoostError as error:
            raise ValueError(f"{folder / BOOSTER} is missing or cut short: {error}") from error
        return cls(Native.load(folder), booster, card["classes"], card["found"])


def _pool(native: Native, frame: Frame) -> "catboost.Pool":
    import catboost

    places = [place for place, coded in enumerate(native.categorical) if coded]
    return catboost.Pool(_columns(native, frame.X), frame.y, cat_features=places, weight=frame.weight)


def _columns(native: Native, X: pd.DataFrame) -> pd.DataFrame:
    """The matrix as columns: numbers as float32, categories as whole numbers, -1 where missing or not known."""
    matrix = native.matrix(X)
    columns = {
        str(place): np.where(np.isnan(values), -1, values).astype(np.int32) if coded else values.astype(np.float32)
        for place, (values, coded) in enumerate(zip(matrix.T, native.categorical, strict=True))
    }
    return pd.DataFrame(columns, copy=False)


def _question(problem: Problem, classes: int) -> dict[str, Any]:
    """The engine's loss, by which it also stops: the problem's own metric where the engine has it."""
    if problem.kind == "binary":
        return {"loss_function": "Logloss"}
    if problem.kind == "multiclass":
        return {"loss_function": "MultiClass", "classes_count": classes}
    if problem.metric.startswith("pinball"):
        return {"loss_function": f"Quantile:alpha={quantile_of(problem.metric)}"}
    return {"loss_function": "MAE" if problem.metric == "mae" else "RMSE"}
