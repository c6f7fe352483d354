"""H2O AutoML, the baseline: its own contest of boosted trees, forests, linear models, nets and stacks of them."""

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Context, Model, OutOfTimeError
from framework.contenders import h2o_rows
from framework.contenders.h2o_model import BOARD, H2OModel
from framework.contenders.h2o_rows import ANSWER, PART, WEIGHT, Parts
from framework.contenders.native import Native
from framework.contenders.target import quantile_of
from framework.data.frame import Fold
from framework.problem import Kind, Problem

if TYPE_CHECKING:
    from framework.contenders.h2o_cloud import Cloud

ALGORITHMS = ("XGBoost", "GLM", "DRF", "GBM", "DeepLearning", "StackedEnsemble")
UNSTEADY = "DeepLearning"  # its threads write into the same weights without asking: another run, another net
LEAST_SECONDS = 8.0  # below, not even the JVM stands
LOOK_SECONDS = 1.0  # between two looks at H2O's ranking
STOP_SECONDS = 0.5  # that the JVMs take to end
SORTED = {
    "roc_auc": "AUC",
    "pr_auc": "AUCPR",
    "balanced_accuracy": "mean_per_class_error",
    "brier": "MSE",
    "mae": "MAE",
    "mape": "MAE",
    "pinball": "MAE",
    "rmsle": "RMSLE",
}


class H2OSettingError(UserError):
    """Settings that contradict each other, or that H2O does not have."""


class H2OTimeError(OutOfTimeError):
    """Too little time for a single model."""


@dataclass(frozen=True)
class H2O:
    """H2O AutoML in JVMs of its own; the best of its models comes home as a MOJO.

    seconds: for AutoML itself; None: until the deadline, with room to bring the model home. models: stop after so many
    besides the stacks; with it, and without the nets that it then leaves out, the same seed gives the same models
    again, which a limit of time cannot promise.
    Its models are ranked by cross-validation on the train rows: a group stays whole there, and time is cut into
    stretches. The validation rows are not shown to it. Dates and texts come as numbers, as trees take them.
    workers: nodes, with a JVM of `cpus` and `memory_gigabytes` each, a quarter of which is kept out of Java's heap.
    algorithms: of ALGORITHMS, those it may use; empty: all. without: those it may not.
    Its own leaderboard is the model's `table`, and is kept as `h2o_leaderboard.csv`.
    """

    seconds: float | None = None
    models: int | None = None
    folds: int = 5
    algorithms: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    name: str = "h2o"
    cpus: float = 1.0  # of each JVM; a whole number
    workers: int = 1
    memory_gigabytes: float = 2.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, memory_gigabytes=self.memory_gigabytes, workers=self.workers, apart=True)

    def fit(self, fold: Fold, context: Context) -> H2OModel:
        """Raises H2OSettingError, JavaMissingError, H2OMissingError, ResourcesError; H2OTimeError when no model was
        done in time; H2OError when H2O failed, H2OLostError when a JVM of it died."""
        from cluster.connect import connect
        from framework.contenders.h2o_cloud import H2OStartError, cloud
        from framework.contenders.h2o_java import jar, java
        from framework.contenders.h2o_server import H2OSilentError

        self._check()
        java(), jar()
        left = context.remaining()
        if left < LEAST_SECONDS:
            raise H2OTimeError(
                f"{self.name} had {left:.0f} s; a JVM and a first model take about 15. Give more minutes, or leave it "
                f"out."
            )
        connect()
        end = context.deadline - min(8.0, 1.0 + 0.08 * left)
        native = Native.learn(fold.schema, fold.train.X, seed=context.seed)
        try:
            with cloud(self.resources, until=end, deadline=context.deadline - STOP_SECONDS) as standing:
                return self._run(fold, native, standing, end, context)
        except (H2OStartError, H2OSilentError) as error:
            raise H2OTimeError(f"{self.name}: {error}") from error

    def settled(self, model: Model) -> "H2O":
        """The same list of models once more, ensembles included: as many as there was time for, of the same kinds.

        Each learns anew on the rows it is given, and the best by cross-validation is taken anew.
        """
        if self.models is not None or not isinstance(model, H2OModel):
            return self
        return replace(self, models=model.models, algorithms=tuple(model.algorithms))

    def _run(self, fold: Fold, native: Native, standing: "Cloud", end: float, context: Context) -> H2OModel:
        from framework.contenders.h2o_server import H2OSilentError, wait

        server = standing.server
        parts = Parts.plan(fold, self.folds)
        path = context.folder / "train.parquet"
        kinds = h2o_rows.write(fold.rows, path, native=native, labelled=bool(fold.classes), parts=parts)
        if not wait(server, server.take(path, "train", kinds), until=end, meanwhile=standing.check):
            raise H2OTimeError(f"{self.name} had no time left once H2O had read the rows. Give more minutes.")
        path.unlink()
        job, project = server.automl(self._asked(fold, kinds, context.seed, end - time.time()))
        best = _Best(standing, project, context)
        try:
            if wait(server, job, until=end, meanwhile=best.look):
                best.look(at_once=True)
        except H2OSilentError:
            if not best.board or time.time() < end:
                raise
        if not best.board:
            raise H2OTimeError(f"{self.name}: no model of H2O was done in time. Give more minutes, or fewer rows.")
        model = H2OModel(native, best.archive, len(fold.classes), best.board)
        context.remark(f"the best of {len(best.board)} models by H2O's cross-validation, a {best.board[0]['algo']}")
        context.keep(BOARD, model.table.to_csv(index=False))
        return model

    def _asked(self, fold: Fold, kinds: dict[str, str], seed: int, left: float) -> dict[str, Any]:
        """What AutoML is told, as its REST interface has it."""
        stop: dict[str, Any] = {"seed": seed, "max_models": self.models or 0}
        seconds = min(left, self.seconds or math.inf)
        if seconds < math.inf:
            stop["max_runtime_secs"] = max(1.0, seconds)
        elif self.models is None:
            raise H2OSettingError(f"{self.name} has neither seconds, nor models, nor a deadline. Give one of them.")
        control = {"nfolds": self.folds, "stopping_criteria": stop, **_distribution(fold.problem)}
        columns = {"training_frame": "train", "response_column": ANSWER, "sort_metric": _sorted_by(fold.problem)}
        columns |= {"weights_column": WEIGHT} if WEIGHT in kinds else {}
        columns |= {"fold_column": PART} if PART in kinds else {}
        return {
            "build_control": control,
            "input_spec": columns,
            "build_models": {"include_algos": self._allowed()},
        }

    def _allowed(self) -> list[str]:
        unsteady = self.models is not None and not self.algorithms
        left_out = {*self.without, *([UNSTEADY] if unsteady else [])}
        return [each for each in self.algorithms or ALGORITHMS if each not in left_out]

    def _check(self) -> None:
        """Raises H2OSettingError."""
        if unknown := {*self.algorithms, *self.without} - set(ALGORITHMS):
            raise H2OSettingError(
                f"{self.name} names {sorted(unknown)[0]!r}, which H2O AutoML has not. It has: {', '.join(ALGORITHMS)}."
            )
        if not set(self._allowed()) - {"StackedEnsemble"}:
            raise H2OSettingError(f"{self.name} leaves H2O no algorithm to use. Allow one besides StackedEnsemble.")
        if self.workers < 1 or self.cpus < 1 or self.cpus != int(self.cpus):
            raise H2OSettingError(
                f"{self.name} has workers={self.workers} and cpus={self.cpus:g}; H2O takes whole ones, from 1."
            )
        if self.models is not None and self.models < 1:
            raise H2OSettingError(f"{self.name} has models={self.models}; it needs 1 at least, or None.")
        if self.folds < 2:
            raise H2OSettingError(f"{self.name} has folds={self.folds}; cross-validation needs 2 at least.")


class _Best:
    """H2O's ranking so far and its first as a MOJO, brought home as soon as it leads: at the deadline H2O may be too
    busy to be asked."""

    def __init__(self, standing: "Cloud", project: str, context: Context) -> None:
        self.standing, self.project, self.context = standing, project, context
        self.board: tuple[dict[str, Any], ...] = ()
        self.archive = b""
        self.looked = 0.0

    def look(self, *, at_once: bool = False) -> None:
        """Raises H2OLostError when a JVM is gone."""
        if not at_once and time.time() - self.looked < LOOK_SECONDS:
            return
        self.standing.check()
        board = tuple(self.standing.server.leaderboard(self.project))
        if board and (not self.board or board[0]["model_id"] != self.board[0]["model_id"]):
            self.archive = self.standing.server.mojo(board[0]["model_id"])
        if len(board) > len(self.board):
            self.context.report(len(board), **_scores(board[0]))
        self.board, self.looked = board or self.board, time.time()


def _sorted_by(problem: Problem) -> str:
    """H2O's metric that is nearest to the problem's; log loss or RMSE where it has none."""
    known = SORTED.get(problem.metric)
    if problem.kind == "multiclass" and known in ("AUC", "AUCPR"):
        known = None  # H2O computes those for two classes only
    return known or ("logloss" if problem.classified else "RMSE")


def _distribution(problem: Problem) -> dict[str, Any]:
    quantile = None if problem.classified else quantile_of(problem.metric)
    if quantile is None:
        return {}
    return {"distribution": "laplace"} if quantile == 0.5 else {"distribution": "quantile", "quantile_alpha": quantile}


def _scores(best: dict[str, Any]) -> dict[str, float]:
    """What its best model so far has in H2O's cross-validation."""
    kept = ("auc", "logloss", "rmse", "mae")
    return {f"cross_{name}": float(best[name]) for name in kept if isinstance(best.get(name), int | float)}
