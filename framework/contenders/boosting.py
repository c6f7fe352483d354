"""What boosting engines are told beside their own settings: weights of classes, monotone columns, other objectives."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from cluster.user_error import UserError
from framework.contender import Context
from framework.contenders.native import Native
from framework.data.frame import Fold

Pairs = tuple[tuple[str, Any], ...]
ClassWeight = Literal["balanced"] | None

RANKINGS = ("rank:", "lambdarank", "rank_xendcg")  # their rows come by query
FEW_ROUNDS = 200  # with time for fewer, larger steps are taken
LARGEST_STEP = 0.3
PROBE_ROUNDS = 5  # after which the time of a round is known
SCORES = (*RANKINGS, "survival:")  # their predictions have no unit: the raw score is told


ELSEWHERE = {  # objectives that engines have by other names, or not at all
    "xgboost": {"lambdarank": "XGBoost calls it 'rank:ndcg'", "rank_xendcg": "XGBoost has 'rank:ndcg'"},
    "lightgbm": {
        "rank:": "LightGBM calls it 'lambdarank'",
        "survival:": "LightGBM has none for censored times: use XGBoost",
    },
}


class BoostingError(UserError):
    """A setting that does not fit the columns or the question."""


class Boosted(Protocol):
    """The fields that boosting contenders have in common."""

    @property
    def name(self) -> str: ...
    @property
    def rounds(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def workers(self) -> int: ...
    @property
    def checkpoint_rounds(self) -> int: ...
    @property
    def class_weight(self) -> ClassWeight: ...
    @property
    def monotone(self) -> Mapping[str, int] | Pairs: ...
    @property
    def objective(self) -> str | None: ...
    @property
    def engine(self) -> Mapping[str, Any] | Pairs: ...


@dataclass(frozen=True)
class Plan:
    """What every rank is told.

    engine: the engine's parameters. factors: what a row of each class counts, shape (classes,). memory: bytes that a
    worker's rows may take, 0 for its share of the machine's.
    """

    native: Native
    engine: dict[str, Any]
    rounds: int
    patience: int
    learning_rate: float
    checkpoint_rounds: int = 50
    factors: np.ndarray | None = None
    memory: int = 0
    deadline: float = float("inf")


def planned(
    made: Boosted, fold: Fold, context: Context, *, engine: str, settings: dict[str, Any], metric: str, memory: int = 0
) -> Plan:
    """A contender's fields as the plan of one fit.

    engine: "xgboost" or "lightgbm". settings: the parameters that follow from the question and from fields which only
    this engine has. metric: the name of the parameter among them that an objective of its own makes void.
    Raises BoostingError when a field does not fit the columns or the question.
    """
    check_objective(made, fold, engine=engine)
    native = Native.learn(fold.schema, fold.train.X, seed=context.seed)
    if made.objective is not None:
        settings = {name: value for name, value in settings.items() if name != metric} | {"objective": made.objective}
    if any(signs := constraints(pairs(made.monotone), native, who=made.name)):
        told = ",".join(map(str, signs))
        settings = {**settings, "monotone_constraints": f"({told})" if engine == "xgboost" else told}
    return Plan(
        native,
        {**settings, **dict(made.engine)},
        rounds=made.rounds,
        patience=made.patience,
        learning_rate=made.learning_rate,
        checkpoint_rounds=made.checkpoint_rounds,
        factors=class_factors(made.class_weight, fold, who=made.name),
        memory=memory,
        deadline=context.deadline,
    )


def pairs(given: Mapping[str, Any] | Pairs) -> Pairs:
    """A mapping as a field of a frozen contender: hashable, in the order of its keys."""
    items = given.items() if isinstance(given, Mapping) else given
    return tuple(sorted((str(key), tuple(value) if isinstance(value, list) else value) for key, value in items))


def ranking(objective: str | None) -> bool:
    return objective is not None and objective.startswith(RANKINGS)


def scoring(objective: str | None) -> bool:
    """Whether the raw score is the prediction."""
    return objective is not None and objective.startswith(SCORES)


def check_objective(made: Boosted, fold: Fold, *, engine: str) -> None:
    """Raises BoostingError when the engine, its workers or the question cannot have the contender's objective."""
    objective, who = made.objective, made.name
    for name, where in ELSEWHERE[engine].items():
        if objective is not None and objective.startswith(name):
            raise BoostingError(f"{who}: objective={objective!r} is not one of this engine's. {where}.")
    if objective == "survival:cox" and made.workers > 1:
        raise BoostingError(
            f"{who}: objective={objective!r} holds every row against all others, and workers={made.workers} have a "
            f"part each. Pass workers=1, or 'survival:aft'."
        )
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


def larger_step(learning_rate: float, affordable: float) -> float:
    """The learning rate that comes as far in the affordable rounds as this one in FEW_ROUNDS; at most LARGEST_STEP."""
    return max(learning_rate, min(LARGEST_STEP, learning_rate * FEW_ROUNDS / max(1.0, affordable)))
