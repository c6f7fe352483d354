"""The online test of two arms: their answers in the prediction log, joined with what came true, at every look."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from framework.data.values import number_of, text_of
from framework.monitoring.outcomes import outcomes
from framework.monitoring.parts import LogError
from framework.monitoring.performance import joined
from framework.monitoring.prediction_log import SHARE, predictions
from framework.serving.traffic.plan import Plan, Question
from framework.statistics.bootstrap import Interval
from framework.statistics.sequential import LEAST_ROWS, Arm, Look, look

LEAST_SHARE = 1e-6  # of a probability: log loss has no end below it
POINTS = 0.02  # of accuracy: the difference worth finding, where none is told
PART = 0.1  # of a loss's standard deviation: the same
SQUARED = frozenset({"rmse", "mse", "r2", "rmsle"})  # metrics that a mean of squared errors stands for


@dataclass(frozen=True)
class Standing:
    """A look at two arms. metric: the mean that is compared. better: whether the new arm's is the better one.

    outcomes: by version how many came. effect: the difference worth finding. known: the joined rows.
    """

    metric: str
    look: Look
    better: bool
    outcomes: Mapping[str, int]
    effect: float
    known: pd.DataFrame = field(repr=False, compare=False)

    @property
    def decided(self) -> bool:
        return self.look.decided

    def to_json(self) -> dict[str, Any]:
        """Plain data, as a name's traffic tells it."""
        seen = self.look
        return {
            "metric": self.metric,
            "difference": seen.difference,
            "interval": [seen.interval.low, seen.interval.high],
            "p_value": seen.p_value,
            "rows": seen.control.rows + seen.treated.rows,
            "outcomes": dict(self.outcomes),
            "effect": self.effect,
        }


def standing(
    folder: str, name: str, plan: Plan, *, since: float, earlier: Mapping[str, Any] | None = None
) -> Standing | None:
    """The test of the plan's first two arms by the log's answers since a moment; None before anything is known.

    earlier: the last look, as `to_json` told it: what it ruled out stays so. It takes outcomes for independent: where
    one key has many, the rows of a key should be one outcome.
    """
    try:
        logged = predictions(folder, name, since=since)
    except LogError:
        return None
    known = joined(logged, outcomes(folder))
    metric = scored_by(plan.question)
    if not len(known) or metric is None:
        return None
    losses = _losses(plan.question, metric, known)
    versions = known["version"].astype(str).to_numpy()
    there = ~np.isnan(losses)
    counts = {arm.version: int((there & (versions == arm.version)).sum()) for arm in plan.arms}
    of = [losses[there & (versions == arm.version)] for arm in plan.arms[:2]]
    effect = plan.effect or (earlier or {}).get("effect") or _effect(metric, of[0])
    control, treated = (Arm.of(values.astype(bool) if metric == "accuracy" else values) for values in of)
    if not effect:
        nothing = Look(control, treated, 0.0, Interval(-math.inf, math.inf), 1.0, plan.alpha)
        return Standing(metric, nothing, False, counts, 0.0, known)
    seen = look(control, treated, effect=effect, alpha=plan.alpha)
    if earlier is not None:
        low, high = earlier["interval"]
        after = seen.after(Look(control, treated, 0.0, Interval(low, high), earlier["p_value"], plan.alpha))
        seen = after if after.interval.low <= after.interval.high else seen
    better = seen.difference > 0 if metric == "accuracy" else seen.difference < 0
    return Standing(metric, seen, better, counts, effect, known)


def scored_by(question: Question) -> str | None:
    """What two arms are compared by: a mean over single rows next to the question's metric; None of clusters."""
    if question.kind == "clustering":
        return None
    if question.classes:
        return "accuracy" if question.metric == "accuracy" else "log_loss"
    return "mse" if question.metric in SQUARED else "mae"


def _losses(question: Question, metric: str, known: pd.DataFrame) -> np.ndarray:
    """Of each row its loss, or 1 and 0 for right and wrong; NaN where the outcome is none of the question's."""
    came = known["outcome"].tolist()
    if not question.classes:
        truth, said = np.array([_number(each) for each in came]), known["prediction"].to_numpy(dtype=np.float64)
        return np.asarray((said - truth) ** 2 if metric == "mse" else np.abs(said - truth))
    named = {text: label for label, text in question.classes}
    if metric == "accuracy":
        right = zip(known["prediction"].tolist(), came, strict=True)
        return np.array([float(text_of(said) == text) if text in named else math.nan for said, text in right])
    columns = {text: known[f"{SHARE}{label}"].to_numpy(dtype=np.float64) for text, label in named.items()}
    share = np.array([columns[text][row] if text in named else math.nan for row, text in enumerate(came)])
    return np.asarray(-np.log(np.clip(share, LEAST_SHARE, 1.0)))


def _effect(metric: str, losses: np.ndarray) -> float:
    """The difference worth finding, by the champion's first losses; 0 before there are enough. It is chosen once."""
    if metric == "accuracy":
        return POINTS
    return PART * float(losses[:LEAST_ROWS].std()) if len(losses) >= LEAST_ROWS else 0.0


def _number(text: str) -> float:
    try:
        return number_of(text)
    except ValueError:
        return math.nan
