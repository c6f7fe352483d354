"""XGBoost's rounds: rows quantised block by block, trees grown, stopped in time, kept and taken up again."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from framework.contender import Context
from framework.contenders.boosting import FEW_ROUNDS, PROBE_ROUNDS, Plan, larger_step, ranking
from framework.contenders.boosting_crew import Crew, OnRay
from framework.contenders.boosting_rows import by_query, few, matrix, queries, single, weighed
from framework.contenders.watch import Watch
from framework.data.frame import Frame, Rows
from framework.scratch import scratch

BOOSTER = "booster.ubj"
STATE = "rounds.json"
BLOCK_ROWS = 65_536
LARGEST_BLOCK_ROWS = 2**20
ROW_BYTES = 40  # beside a row's bins: label, weight, gradients, place in the tree
FAR = 1e37  # farther out than any value
MEMORY_SHARE = 0.6  # of the machine's free memory that the shards on it may take
SUMMED = ("logloss", "mlogloss", "error", "merror", "rmse", "rmsle", "mae", "mape", "mphe", "quantile")
LARGER = ("auc", "aucpr", "ndcg", "map", "pre")


class Blocks(xgboost.DataIter):  # type: ignore[misc]
    """One part of the rows, for the engine to read as often as it wants; nothing is kept of a block."""

    def __init__(
        self, rows: Rows, plan: Plan, part: int, parts: int, *, size: int = BLOCK_ROWS, cache: str | None = None
    ) -> None:
        """size: rows of a block. cache: the beginning of the paths where the engine puts quantised blocks aside."""
        self.rows, self.plan, self.part, self.parts, self.size = single(rows), plan, part, parts, size
        self.types = types(plan)
        self.reset()
        super().__init__(cache_prefix=cache)

    def reset(self) -> None:
        self.left = self.rows.blocks(self.part, self.parts, rows=self.size)

    def next(self, input_data: Any) -> bool:
        block = next(self.left, None)
        if block is None:
            return False
        input_data(data=matrix(self.plan.native, block.X), feature_types=self.types, **facts(block, self.plan))
        return True


def facts(frame: Frame, plan: Plan) -> dict[str, Any]:
    """Label, weight and query of rows, as the engine calls them."""
    objective = str(plan.engine["objective"])
    if objective == "survival:aft":
        spans = np.abs(frame.y)
        return {"label_lower_bound": spans, "label_upper_bound": np.where(frame.y < 0, np.inf, spans)}
    if not ranking(objective):
        return {"label": frame.y, "weight": weighed(frame, plan.factors).weight}
    codes = queries(frame)
    weight = frame.weight
    if weight is not None:  # of each query, not of each row
        weight = np.bincount(codes, weights=weight) / np.bincount(codes)
    return {"label": frame.y, "weight": weight, "qid": codes}


def types(plan: Plan) -> list[str]:
    """Of each column of the matrix, "c" for codes or "q"."""
    return ["c" if code else "q" for code in plan.native.categorical]


def bins(sample: Frame, plan: Plan) -> Any:
    """The bins of all ranks' rows, found on rows that are the same on every rank: to find them on all rows is most of
    what quantising costs. Values beyond the sample's fall into bins of their own."""
    last = [len(column.categories) - 1 for column, width in plan.native.widths for _ in range(width)]
    edges = np.full((3, plan.native.width), np.nan)
    edges[0], edges[1], edges[2] = -FAR, FAR, last
    edges[:2, plan.native.categorical] = np.nan
    edges[2, ~np.array(plan.native.categorical)] = np.nan
    rows = np.concatenate([plan.native.matrix(few(sample).X), edges])
    return xgboost.QuantileDMatrix(rows, feature_types=types(plan), **_shared(plan))


def quantised(
    rows: Rows, plan: Plan, crew: Crew, *, ref: Any = None, cache: str | None = None, whole: bool = False
) -> Any:
    """A rank's rows as the engine's bins: in memory, or on disk where they would take more than the worker has.

    ref: whose bins are taken. cache: the beginning of the paths where bins may lie on disk; None: in memory.
    whole: every rank takes all rows. Frames go in at once where one rank takes all.
    """
    part, parts = (0, 1) if whole else (crew.rank, crew.size)
    if ranking(str(plan.engine["objective"])):
        rows, part, parts = by_query(rows, part, parts), 0, 1
    shared = _shared(plan)
    if isinstance(rows, Frame) and parts == 1 and not plan.memory:
        held = matrix(plan.native, rows.X)
        return xgboost.QuantileDMatrix(held, ref=ref, feature_types=types(plan), **facts(rows, plan), **shared)
    memory = plan.memory or free_memory() * MEMORY_SHARE / crew.size
    if cache is not None and shard_bytes(len(rows) // parts, plan) > memory:
        size = int(memory / 8 / (8 * plan.native.width))
        blocks = Blocks(rows, plan, part, parts, size=min(max(size, BLOCK_ROWS), LARGEST_BLOCK_ROWS), cache=cache)
        return xgboost.ExtMemQuantileDMatrix(blocks, ref=ref, **shared)
    return xgboost.QuantileDMatrix(Blocks(rows, plan, part, parts), ref=ref, **shared)


def _shared(plan: Plan) -> dict[str, Any]:
    """What is told with all rows."""
    told = {"nthread": plan.engine["nthread"], "enable_categorical": any(plan.native.categorical)}
    return told | ({"max_bin": plan.engine["max_bin"]} if "max_bin" in plan.engine else {})


def shard_bytes(rows: int, plan: Plan) -> int:
    """What a part of the rows takes once quantised: a byte a cell, four where cells may be missing."""
    gaps = any(column.missing or column.kind not in ("number", "boolean") for column in plan.native.schema.columns)
    return rows * (plan.native.width * (4 if gaps else 1) + ROW_BYTES)


def free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def boost(told: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """`rounds` in a worker of Ray Train. told: "plan", and references to "data": rows, sample, valid rows."""
    import ray

    with scratch("bins") as folder:
        rows, sample, valid = (ray.get(value) if isinstance(value, ray.ObjectRef) else value for value in told["data"])
        try:
            return rounds(rows, sample, valid, told["plan"], OnRay(), folder=folder)
        except xgboost.core.XGBoostError as error:
            if "collective" in str(error):  # a ValueError, though nothing is wrong with this rank: its neighbour died
                raise RuntimeError("another rank was lost") from error
            raise


def rounds(
    rows: Rows, sample: Frame, valid: Frame, plan: Plan, crew: Crew, *, folder: Path
) -> tuple[bytes, dict[str, Any]]:
    """The model as UBJ bytes, cut to its best round, and what was found: rounds and learning_rate.

    sample: rows of all parts, the same on every rank: bins are found on them, unless one rank has all rows in memory.
    folder: where bins that memory does not hold are put.
    """
    alike = None if isinstance(rows, Frame) and crew.size == 1 and not plan.memory else bins(sample, plan)
    train = quantised(rows, plan, crew, ref=alike, cache=str(folder / "train"))
    del alike
    metric = str(plan.engine.get("eval_metric", ""))
    watched = None
    if len(valid):
        # A sum over rows is a sum over ranks; a ranking of rows is not, so every rank looks at all of them.
        whole = crew.size == 1 or metric not in SUMMED or len(valid) < 100 * crew.size
        watched = quantised(valid, plan, crew, ref=train, whole=whole)
    watch = Watch(Context(deadline=plan.deadline), plan.patience, larger=metric.split("@")[0] in LARGER)
    rate, done = plan.learning_rate, 0
    with xgboost.config_context(verbosity=0):
        booster = xgboost.Booster(plan.engine, [train] + ([watched] if watched is not None else []))
        with crew.newest() as kept:
            if kept is not None:
                state = json.loads((kept / STATE).read_text(encoding="utf-8"))
                booster.load_model(bytearray((kept / BOOSTER).read_bytes()))
                done, rate, watch.best = state["done"], state["rate"], state["best"]
                watch.best_round = state["best_round"] - done  # counted from where this attempt begins
                booster.set_param({**plan.engine, "learning_rate": rate})
        for round_ in range(done, plan.rounds):
            booster.update(train, round_)
            score = None
            if watched is not None:
                told = booster.eval_set([(watched, "valid")], round_).rpartition("\t")[2].removeprefix("valid-")
                name, _, value = told.rpartition(":")
                score = float(value)
                watch.larger = name.split("@")[0] in LARGER
                crew.report(round_, {f"valid_{name}": score})
            over = watch.stop(round_ - done, score)
            if round_ - done + 1 == PROBE_ROUNDS and watch.affordable < FEW_ROUNDS:
                rate = larger_step(plan.learning_rate, watch.affordable)
            over, rate = _agreed((over, rate), crew)
            if rate != plan.learning_rate:
                booster.set_param({"learning_rate": rate})
            if over:
                break
            if (round_ + 1) % plan.checkpoint_rounds == 0 and round_ + 1 < plan.rounds:
                state = {"done": round_ + 1, "rate": rate, "best": watch.best, "best_round": done + watch.best_round}
                crew.keep(round_, partial(_write, booster=booster, state=state))
    best = done + watch.best_round + 1
    if best < booster.num_boosted_rounds():
        booster = booster[:best]
    return bytes(booster.save_raw("ubj")), {"rounds": best, "learning_rate": rate}


def _write(place: Path, booster: Any, state: dict[str, Any]) -> None:
    (place / BOOSTER).write_bytes(booster.save_raw("ubj"))
    (place / STATE).write_text(json.dumps(state), encoding="utf-8")


def _agreed(value: Any, crew: Crew) -> Any:
    """Rank 0's value, over the engine's own network: a call to Ray in every round would cost more than the round."""
    return value if crew.size == 1 else xgboost.collective.broadcast(value, 0)
