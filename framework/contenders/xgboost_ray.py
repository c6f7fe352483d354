"""xgboost-ray 0.1.19, the archived distributed XGBoost, in an interpreter of its own (Env "xgboost_ray").

The near half asks, the far half (from `boost` on) trains; the model comes home as UBJ bytes, and the base
environment's XGBoost opens it. At its top this file imports only what both interpreters have.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cluster.env import Env
from cluster.far import Tell
from cluster.resources import Resources
from cluster.tasks import cancel
from cluster.user_error import UserError
from cluster.wire import Arrays, Facts, archive, unarchive

if TYPE_CHECKING:
    from framework.contender import Context, Model
    from framework.contenders.native import Native
    from framework.contenders.xgboost import XGBoostModel
    from framework.data.frame import Fold, Rows
    from framework.problem import Kind

CHECKPOINT_ROUNDS = 5  # a killed worker costs the rounds since the last checkpoint, and 10 s of xgboost-ray's patience
RESTARTS = 3
SPARE_SECONDS = 3.0  # before the deadline, for the workers to leave and the model to come home
SPARE_SHARE = 0.15
LOOK_SECONDS = 10  # between two looks for CPUs that a lost worker's successor could have


class XGBoostRayError(UserError):
    """Settings under which nothing can be trained."""


@dataclass(frozen=True)
class XGBoostRay:
    """XGBoost over `workers` actors of xgboost-ray, each with a share of the rows, elastic.

    A worker that dies is done without: training goes on from the last checkpoint, and takes a new one in when the
    cluster has room. rounds, patience, depth and the rest as in `XGBoost`; the validation rows are shared out too.
    No process holds more than its share: rows in files are read by as many tasks as there are workers, and each worker
    takes its own part out of the object store.
    """

    workers: int = 2
    rounds: int = 2000
    learning_rate: float = 0.03
    depth: int | None = None
    min_child_weight: float = 3.0
    subsample: float = 0.8
    columns: float = 0.5  # share of columns that a tree sees
    l2: float = 1.0
    patience: int = 50
    name: str = "xgboost_ray"
    cpus: float = 1.0  # of each worker; a whole number
    gpus: float = 0.0  # of each worker
    kinds: ClassVar["frozenset[Kind]"] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, gpus=self.gpus, workers=self.workers, apart=True)

    def fit(self, fold: "Fold", context: "Context") -> "XGBoostModel":
        """Raises EnvError when the deadline passes before a round is done: a start takes about ten seconds; DataError
        for files that are gone or damaged."""
        from framework.contenders.native import Native
        from framework.contenders.xgboost import SMALL, XGBoostModel, open_booster, question
        from framework.contenders.xgboost_rounds import LARGER

        if self.workers < 1 or self.cpus < 1 or self.cpus != int(self.cpus):
            raise XGBoostRayError(
                f"{self.name} has workers={self.workers} and cpus={self.cpus:g}; xgboost-ray takes whole ones, from 1."
            )
        depth = self.depth or (4 if len(fold.rows) < SMALL else 6)
        engine = {**question(fold.problem, len(fold.classes)), **self._settings(context.seed, depth)}
        metric = str(engine["eval_metric"])
        native = Native.learn(fold.schema, fold.train.X, seed=context.seed)
        workers = min(self.workers, len(fold.rows), len(fold.valid) or self.workers)
        parcels = share_out(native, fold.rows, workers, cpus=self.cpus, deadline=context.deadline)
        if len(fold.valid):
            parcels += share_out(native, fold.valid, workers, cpus=self.cpus, deadline=context.deadline)

        starts: list[Facts] = []

        def hear(told: Facts) -> None:
            if "score" in told:
                context.report(told["round"], **{f"valid_{metric}": told["score"]})
                return
            starts.append(told)
            if len(starts) > 1:  # a worker was lost, or one came back
                context.remark(f"{self.name}: goes on from round {told['round']} with {told['workers']} worker(s)")

        env = Env("xgboost_ray", everywhere=True, deadline=context.deadline, hear=hear)
        home, facts = env.call(
            "framework.contenders.xgboost_ray:boost",
            {},
            parcels,
            engine=engine,
            types=["c" if code else "q" for code in native.categorical],
            rounds=self.rounds,
            patience=self.patience,
            larger=metric in LARGER,
            workers=workers,
            cpus=int(self.cpus),
            gpus=self.gpus,
            deadline=context.deadline,
        )
        found = {"rounds": facts["rounds"], "learning_rate": self.learning_rate, "depth": depth}
        return XGBoostModel(native, open_booster(home["booster"].tobytes()), len(fold.classes), found)

    def settled(self, model: "Model") -> "XGBoostRay":
        from framework.contenders.xgboost import XGBoostModel

        return replace(self, **model.found, patience=0) if isinstance(model, XGBoostModel) else self

    def _settings(self, seed: int, depth: int) -> dict[str, Any]:
        return {
            "tree_method": "hist",
            "device": "cuda" if self.gpus > 0 else "cpu",
            "nthread": int(self.cpus),
            "seed": seed,
            "learning_rate": self.learning_rate,
            "max_depth": depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.columns,
            "reg_lambda": self.l2,
        }


def share_out(native: "Native", rows: "Rows", parts: int, *, cpus: float, deadline: float) -> list[Any]:
    """References to the equal parts of these rows in the object store, as the far half opens them.

    Rows in files are read by one task for each part, wherever there is room; rows in memory are packed here, part by
    part. Raises what reading raises; XGBoostRayError when that takes until the deadline.
    """
    import ray

    from framework.data.frame import Frame

    if isinstance(rows, Frame):
        return [ray.put(parcel(native, rows, part, parts)[0]) for part in range(parts)]
    task = ray.remote(parcel).options(num_returns=2, num_cpus=cpus, scheduling_strategy="SPREAD")
    shared = ray.put(native), ray.put(rows)
    packed, counts = zip(*(task.remote(*shared, part, parts) for part in range(parts)), strict=True)
    try:
        ray.get([*counts], timeout=max(0.0, deadline - time.time()) if deadline != float("inf") else None)
    except ray.exceptions.GetTimeoutError as error:
        for reference in counts:
            cancel(reference)
        raise XGBoostRayError(
            f"{len(rows):,} rows were not read by {parts} task(s) until the deadline. Give it more minutes or workers."
        ) from error
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    return [*packed]


def parcel(native: "Native", rows: "Rows", part: int, parts: int) -> tuple[bytes, int]:
    """One of `parts` equal parts of the rows as an archive of "X" (rows, columns), "y" and, where there are any,
    "weight", all float32: half of what a frame takes; and how many rows it holds. Gathered block by block."""
    count = len(rows) * (part + 1) // parts - len(rows) * part // parts
    arrays = {"X": np.empty((count, native.width), dtype=np.float32), "y": np.empty(count, dtype=np.float32)}
    filled = 0
    for block in rows.blocks(part, parts):
        place = slice(filled, filled + len(block))
        arrays["X"][place], arrays["y"][place] = native.matrix(block.X), block.y
        if block.weight is not None:
            arrays.setdefault("weight", np.empty(count, dtype=np.float32))[place] = block.weight
        filled += len(block)
    return archive(arrays), count


def boost(
    arrays: Arrays,
    *,
    parcels: Sequence[Any],
    tell: Tell,
    engine: dict[str, Any],
    types: list[str],
    rounds: int,
    patience: int,
    larger: bool,
    workers: int,
    cpus: int,
    gpus: float,
    deadline: float,
) -> tuple[Arrays, Facts]:
    """The far half. arrays: none. parcels: each worker's rows to learn from, then each one's to stop by, if any.

    types: of each column, "c" for codes or "q". tell: told round and score of every round, and round and workers of
    every start: the first, and those after a loss or with a newcomer.
    Returns the booster up to its best round as UBJ bytes (uint8) under "booster", and the fact "rounds".
    """
    os.environ["RXGB_ELASTIC_RESTART_RESOURCE_CHECK_S"] = str(LOOK_SECONDS)
    import ray
    from xgboost_ray import RayDMatrix, RayFileType, RayParams, main, train

    main._train = _counted(main._train)

    class Matrix(RayDMatrix):  # type: ignore[misc]
        """Rows of which each actor takes its own part, itself: xgboost-ray would first gather all of them in one
        process, and would read codes as quantities."""

        def __init__(self, parts: Sequence[Any]) -> None:
            names = [f"part {place}" for place in range(len(parts))]
            super().__init__(names, label="y", distributed=True, filetype=RayFileType.PARQUET)
            self.parts = parts
            self.enable_categorical = "c" in types

        def assert_enough_shards_for_actors(self, num_actors: int) -> None:
            """There is one part for each."""

        def assign_shards_to_actors(self, actors: Sequence[Any]) -> bool:
            return False  # rank by rank

        def get_data(self, rank: int, num_actors: int | None = None) -> dict[str, Any]:
            found = unarchive(ray.get(self.parts[rank]))
            return {"data": found["X"], "label": found["y"], "weight": found.get("weight"), "feature_types": types}

        def update_matrix_properties(self, matrix: Any) -> None:
            """Its columns' types have come with its rows."""

    booster = train(
        engine,
        Matrix(parcels[:workers]),
        rounds,
        evals=[(Matrix(parcels[workers:]), "valid")] if len(parcels) > workers else [],
        verbose_eval=False,
        callbacks=[_rounds(str(engine["eval_metric"]), patience, larger, deadline, tell)],
        ray_params=RayParams(
            num_actors=workers,
            cpus_per_actor=cpus,
            gpus_per_actor=gpus,
            elastic_training=workers > 1,
            max_failed_actors=workers - 1,
            max_actor_restarts=RESTARTS,
            checkpoint_frequency=CHECKPOINT_ROUNDS,
            verbose=False,
        ),
    )
    best = int(booster.attr("best_iteration")) + 1
    if best < booster.num_boosted_rounds():
        booster = booster[:best]
    return {"booster": np.frombuffer(booster.save_raw("ubj"), dtype=np.uint8)}, {"rounds": best}


def _counted(train: Callable[..., Any]) -> Callable[..., Any]:
    """xgboost-ray's one attempt at training, which forgets to count the rows where nothing was left to train.

    That is so when a worker is lost, or comes back, after the last round: its caller would end in a KeyError.
    """

    def attempt(*args: Any, **settings: Any) -> Any:
        booster, scores, results = train(*args, **settings)
        return booster, scores, {"total_n": 0, **results}

    return attempt


def _rounds(metric: str, patience: int, larger: bool, deadline: float, tell: Tell) -> Any:
    """The engine's callback: tells every round, and stops all workers after the same one.

    What it must remember stands in the booster's attributes: a restart goes on from a checkpoint of the booster.
    """
    import xgboost
    from xgboost import collective

    class Rounds(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def before_training(self, model: Any) -> Any:
            self.began = time.time()
            left = max(0.0, deadline - self.began)
            self.spare = min(SPARE_SECONDS + SPARE_SHARE * left, left / 2) if left != float("inf") else 0.0
            if collective.get_rank() == 0:
                tell(round=model.num_boosted_rounds(), workers=collective.get_world_size())
            return model

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            done = model.num_boosted_rounds() - 1
            score = float(evals_log["valid"][metric][-1]) if evals_log else None
            best = float(model.attr("best_score") or "nan")
            if score is None or not (score <= best if larger else score >= best):
                model.set_attr(best_iteration=str(done), best_score=repr(score if score is not None else 0.0))
            if score is not None and collective.get_rank() == 0:
                tell(round=done, score=score)
            stale = bool(patience) and score is not None and done - int(model.attr("best_iteration")) >= patience
            return stale or self._late(epoch + 1)

        def _late(self, done: int) -> bool:
            """Whether any worker's clock says that there is no time for another round: all of them must agree."""
            if deadline == float("inf"):
                return False
            now = time.time()
            late = deadline - self.spare - now < 1.5 * (now - self.began) / done
            return bool(collective.allreduce(np.array([float(late)]), collective.Op.MAX)[0])

    return Rounds()
