"""LightGBM's rounds: rows binned block by block, trees grown, stopped in time, kept and taken up again."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np

from framework.contender import Context
from framework.contenders.boosting import FEW_ROUNDS, PROBE_ROUNDS, Plan, larger_step, ranking
from framework.contenders.boosting_crew import Crew, OnRay
from framework.contenders.boosting_rows import by_query, few, queries, weighed
from framework.contenders.watch import Watch
from framework.data.frame import Frame, Rows

BOOSTER = "booster.txt"
STATE = "rounds.json"
BLOCK_ROWS = 65_536
LOOK_SECONDS = 1.0  # between two looks of several ranks at the clock


class Blocks(lightgbm.Sequence):  # type: ignore[misc]
    """One part of the rows, read from the first to the last as often as the engine wants; one block is held at a time.

    y and weight are filled by the reading: the engine asks for them after it has pushed all rows.
    """

    batch_size = BLOCK_ROWS

    def __init__(self, rows: Rows, plan: Plan, part: int, parts: int) -> None:
        self.rows, self.plan, self.part, self.parts = rows, plan, part, parts
        self.length = len(rows) * (part + 1) // parts - len(rows) * part // parts
        self.y = np.empty(self.length, dtype=np.float32)
        self.weight: np.ndarray | None = None
        self._restart()
        self._step()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows of the matrix, by an index or a slice; quick where the indices rise."""
        if not isinstance(index, slice):
            return np.asarray(self._taken(int(index), int(index) + 1)[0])
        return self._taken(*index.indices(self.length)[:2])

    def matrices(self) -> Iterator[np.ndarray]:
        """All rows, shape (some rows, columns) each."""
        for block in self.rows.blocks(self.part, self.parts, rows=BLOCK_ROWS):
            yield self.plan.native.matrix(block.X)

    def _taken(self, start: int, stop: int) -> np.ndarray:
        if start < self.begin:
            self._restart()
        pieces = []
        while start < stop:
            if start >= self.begin + len(self.held):
                self._step()
                continue
            upto = min(stop, self.begin + len(self.held))
            pieces.append(self.held[start - self.begin : upto - self.begin])
            start = upto
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _restart(self) -> None:
        self.left = self.rows.blocks(self.part, self.parts, rows=BLOCK_ROWS)
        self.begin, self.held = 0, np.empty((0, self.plan.native.width))

    def _step(self) -> None:
        self.begin += len(self.held)
        block = weighed(next(self.left), self.plan.factors)
        self.held = self.plan.native.matrix(block.X)
        place = slice(self.begin, self.begin + len(block))
        self.y[place] = block.y
        if block.weight is not None:
            if self.weight is None:
                self.weight = np.empty(self.length, dtype=np.float32)
            self.weight[place] = block.weight


class Streamed(lightgbm.Dataset):  # type: ignore[misc]
    """Rows that come in blocks. What an earlier model says of them comes in blocks too: the engine would ask for all
    rows at once, and has no way of its own for a Sequence (LightGBM 4.7)."""

    def _set_init_score_by_predictor(self, predictor: Any, data: Any, used_indices: Any) -> Self:
        scores = [predictor.predict(matrix, raw_score=True) for matrix in data.matrices()]
        self.set_init_score(np.concatenate(scores))
        return self


def boost(told: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`rounds` in a worker of Ray Train. told: "plan", and references to "data": rows, sample, valid rows."""
    import ray

    rows, sample, valid = (ray.get(value) if isinstance(value, ray.ObjectRef) else value for value in told["data"])
    crew = OnRay()
    return rounds(rows, sample, valid, told["plan"], crew, network=crew.network())


def rounds(
    rows: Rows, sample: Frame, valid: Frame, plan: Plan, crew: Crew, *, network: dict[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
    """The model as text, cut to its best round, and what was found: rounds and learning_rate.

    sample: rows of all parts, the same on every rank: bins are found on them. The engine would share the columns out
    and find the bins of each on one rank's rows, which in files with an order to them are unlike the others'.
    network: where the other ranks listen. Every rank is scored on all of `valid`, since the engine adds no scores up:
    all ranks then see the same number, and stop at the same round.
    """
    engine = dict(plan.engine)
    if crew.size > 1:
        engine |= {"tree_learner": "data", "pre_partition": True, **(network or {})}
    with crew.newest() as kept:
        state, before = {"rate": plan.learning_rate, "done": 0, "best": None, "best_round": 0}, None
        if kept is not None:
            state = json.loads((kept / STATE).read_text(encoding="utf-8"))
            before = lightgbm.Booster(model_str=(kept / BOOSTER).read_text(encoding="utf-8"))
    train = _dataset(rows, sample, plan, engine, crew)
    held = []
    if len(valid):
        ordered = by_query(valid) if ranking(engine["objective"]) else valid
        held = [_whole(ordered, plan, engine, reference=train)]
    steps = Steps(plan, crew, state)
    if steps.done < plan.rounds:
        left = plan.rounds - steps.done
        engine["learning_rate"] = steps.rate
        booster = lightgbm.train(engine, train, left, valid_sets=held, callbacks=[steps], init_model=before)
        booster.free_network()
    else:
        booster = before
    best = steps.done + steps.watch.best_round + 1
    return booster.model_to_string(num_iteration=best), {"rounds": best, "learning_rate": steps.rate}


def _dataset(rows: Rows, sample: Frame, plan: Plan, engine: dict[str, Any], crew: Crew) -> lightgbm.Dataset:
    """A rank's rows, binned as all ranks bin theirs."""
    if isinstance(rows, Frame) and crew.size == 1:
        return _whole(by_query(rows) if ranking(engine["objective"]) else rows, plan, engine)
    some = few(sample)
    # Without the network in its parameters: found here, on rows that are the same everywhere.
    alike = lightgbm.Dataset(
        plan.native.matrix(some.X), some.y, params=dict(plan.engine), categorical_feature=_codes(plan)
    ).construct()
    if ranking(engine["objective"]):
        return _whole(by_query(rows, crew.rank, crew.size), plan, engine, reference=alike)
    blocks = Blocks(rows, plan, crew.rank, crew.size)
    return Streamed(blocks, blocks.y, weight=blocks.weight, reference=alike, params=dict(plan.engine))


def _whole(frame: Frame, plan: Plan, engine: dict[str, Any], *, reference: Any = None) -> lightgbm.Dataset:
    facts: dict[str, Any] = {}
    if ranking(engine["objective"]):
        facts["group"] = np.bincount(queries(frame))
    frame = weighed(frame, plan.factors)
    kind = {"categorical_feature": _codes(plan)} if reference is None else {"reference": reference}
    matrix = plan.native.matrix(frame.X)
    return lightgbm.Dataset(matrix, frame.y, weight=frame.weight, params=engine, **kind, **facts)


def _codes(plan: Plan) -> list[int]:
    return [place for place, code in enumerate(plan.native.categorical) if code]


class Steps:
    """The engine's callback: reports, keeps, and says when to stop: by the score on every rank, by rank 0's clock."""

    order = 30
    before_iteration = False

    def __init__(self, plan: Plan, crew: Crew, state: dict[str, Any]) -> None:
        """state: what was kept with the checkpoint that the rounds go on from."""
        self.plan, self.crew = plan, crew
        self.rate, self.done = state["rate"], state["done"]
        self.watch = Watch(Context(), plan.patience)
        self.watch.best, self.watch.best_round = state["best"], state["best_round"] - self.done
        self.clock = Watch(Context(deadline=plan.deadline), 0)
        self.look = PROBE_ROUNDS if crew.size > 1 else 1  # rounds until the next look at the clock

    def __call__(self, env: Any) -> None:
        score = None
        if env.evaluation_result_list:
            _, metric, score, larger = env.evaluation_result_list[0][:4]
            self.watch.larger = larger
            self.crew.report(env.iteration, {f"valid_{metric}": float(score)})
        round_ = env.iteration - self.done
        over = self.watch.stop(round_, score)
        self.look -= 1
        if self.look <= 0 and self.plan.deadline != float("inf"):
            late, rate, self.look = self.crew.agree(self._clocked(round_))
            over = over or late
            if rate != self.rate:
                self.rate = rate
                env.model.reset_parameter({"learning_rate": rate})
        if over:
            raise lightgbm.callback.EarlyStopException(self.watch.best_round, env.evaluation_result_list)
        done = env.iteration + 1
        if done % self.plan.checkpoint_rounds == 0 and done < self.plan.rounds:
            best = {"best": self.watch.best, "best_round": self.done + self.watch.best_round}
            state = {"done": done, "rate": self.rate, **best}
            self.crew.keep(env.iteration, partial(_write, booster=env.model, state=state))

    def _clocked(self, round_: int) -> tuple[bool, float, int]:
        """Whether the time is over, the learning rate that it leaves, and how many rounds until the next look."""
        self.clock.stop(round_, None)
        rate = self.rate
        if round_ + 1 == PROBE_ROUNDS and self.clock.affordable < FEW_ROUNDS:
            rate = larger_step(self.plan.learning_rate, self.clock.affordable)
        look = 1 if self.crew.size == 1 else max(1, int(LOOK_SECONDS / max(self.clock.pace, 1e-6)))
        return self.clock.late((0.5 + look) * self.clock.pace), rate, look


def _write(place: Path, booster: Any, state: dict[str, Any]) -> None:
    (place / BOOSTER).write_text(booster.model_to_string(), encoding="utf-8")
    (place / STATE).write_text(json.dumps(state), encoding="utf-8")
