"""What boosting engines are told beside their own settings: weights of classes, monotone columns, other objectives."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from cluster.user_error import UserError
from framework.contenders.native import Native
from framework.data.cut import splitmix64
from framework.data.frame import Fold, Frame, Rows, join

Pairs = tuple[tuple[str, Any], ...]
ClassWeight = Literal["balanced"] | None

RANKINGS = ("rank:", "lambdarank", "rank_xendcg")  # their rows come by query
FEW_ROUNDS = 200  # with time for fewer, larger steps are taken
LARGEST_STEP = 0.3
PROBE_ROUNDS = 5  # after which the time of a round is known
SCORES = (*RANKINGS, "survival:")  # their predictions have no unit: the raw score is told


class BoostingError(UserError):
    """A setting that does not fit the columns or the question."""


def pairs(given: Mapping[str, Any] | Pairs) -> Pairs:
    """A mapping as a field of a frozen contender: hashable, in the order of its keys."""
    items = given.items() if isinstance(given, Mapping) else given
    return tuple(sorted((str(key), tuple(value) if isinstance(value, list) else value) for key, value in items))


def ranking(objective: str | None) -> bool:
    return objective is not None and objective.startswith(RANKINGS)


def scoring(objective: str | None) -> bool:
    """Whether the raw score is the prediction."""
    return objective is not None and objective.startswith(SCORES)


def check_objective(objective: str | None, fold: Fold, *, who: str) -> None:
    """Raises BoostingError when the question cannot have this objective."""
    if not scoring(objective):
        return
    if fold.problem.classified:
        raise BoostingError(
            f"{who}: objective={objective!r} answers with a score, and the question is {fold.problem.kind!r}. "
            f"Pass kind='regression'."
        )
    if ranking(objective) and fold.problem.group is None:
        raise BoostingError(
            f"{who}: objective={objective!r} ranks the rows of each query, and the problem names none. "
            f"Pass the query's column as group."
        )


def constraints(monotone: Pairs, native: Native, *, who: str) -> list[int]:
    """-1, 0 or 1 for each column of the matrix. Raises BoostingError for a column that is not there or has no order."""
    asked = dict(monotone)
    kinds = {column.name: column.kind for column in native.schema.columns}
    for name, sign in asked.items():
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1, cutoff=0.0)
            raise BoostingError(f"{who}: monotone column {name!r} is no feature. Did you mean {near[0]!r}?")
        if kinds[name] not in ("number", "boolean"):
            raise BoostingError(
                f"{who}: monotone column {name!r} is a {kinds[name]}, which has no order. Leave it out."
            )
        if sign not in (-1, 0, 1):
            raise BoostingError(f"{who}: monotone[{name!r}] is {sign!r}; it is 1 (rising) or -1 (falling).")
    return [asked.get(column.name, 0) for column, width in native.widths for _ in range(width)]


def class_factors(weight: ClassWeight, fold: Fold, *, who: str) -> np.ndarray | None:
    """What a row of each class counts, shape (classes,): all classes the same together; None for rows as they are."""
    if weight is None:
        return None
    if weight != "balanced" or not fold.problem.classified:
        raise BoostingError(
            f"{who}: class_weight={weight!r} does not fit kind={fold.problem.kind!r}. It is 'balanced' or None, and "
            f"for classes."
        )
    counts = np.bincount(fold.train.y, minlength=len(fold.classes)) if fold.shards is None else fold.shards.key.counts
    held = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
    return np.asarray(held.sum() / (len(held) * held))


def weighed(frame: Frame, factors: np.ndarray | None) -> Frame:
    """The rows with the weights of their classes on top of their own."""
    if factors is None:
        return frame
    own = 1.0 if frame.weight is None else frame.weight
    return replace(frame, truth=replace(frame.truth, weight=own * factors[frame.y]))


def by_query(rows: Rows, part: int = 0, parts: int = 1) -> Frame:
    """Whole queries in order, for rankings: of each query all rows fall to one part.

    Every part reads all rows and keeps its own in memory. Raises BoostingError when a part gets none.
    """
    kept = []
    for block in rows.blocks(0, 1):
        if block.group is None:
            raise BoostingError("a ranking needs the query of each row. Pass its column as group.")
        mine = splitmix64(block.group.astype(np.int64).view(np.uint64)) % np.uint64(parts) == part
        kept.append(block.take(np.flatnonzero(mine)))
    whole = join(kept)
    if not len(whole) or whole.group is None:
        raise BoostingError(f"there are too few queries to share them out to {parts} workers. Ask for fewer.")
    return whole.take(np.argsort(whole.group, kind="stable"))


def queries(frame: Frame) -> np.ndarray:
    """The number of each row's query, counted from 0 in the order of the rows, shape (rows,)."""
    assert frame.group is not None
    fresh = np.concatenate([[0], np.cumsum(frame.group[1:] != frame.group[:-1])])
    return fresh.astype(np.uint32)


def larger_step(learning_rate: float, affordable: float) -> float:
    """The learning rate that comes as far in the affordable rounds as this one in FEW_ROUNDS; at most LARGEST_STEP."""
    return max(learning_rate, min(LARGEST_STEP, learning_rate * FEW_ROUNDS / max(1.0, affordable)))
