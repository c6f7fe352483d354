"""What an ensemble is worth: how much less it errs than the best of the others, on the same rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.user_error import UserError
from framework.contenders.constant import Constant
from framework.contenders.ensemble import Ensemble
from framework.data.frame import Truth
from framework.leaderboard import Entry, Leaderboard, number
from framework.metric import Metric
from framework.statistics import Interval, resample


class GainError(UserError):
    """A leaderboard on which an ensemble cannot be held against a single contender."""


@dataclass(frozen=True)
class Gain:
    """The best ensemble against the best single contender, by their predictions of the rows ranked on.

    reduction: the share of the single's error that the ensemble spares; negative: it errs more. Error is the score
    itself where less is better, else how far it is below 1. interval: at 95 %, by the paired bootstrap.
    """

    ensemble: str
    single: str
    metric: str
    scores: tuple[float, float]
    reduction: float
    interval: Interval

    def __str__(self) -> str:
        ensemble, single = map(number, self.scores)
        low, high = self.interval.low, self.interval.high
        return (
            f"{self.ensemble} against {self.single}: {self.metric} {ensemble} against {single}, "
            f"{self.reduction:+.1%} less error ({low:+.1%} … {high:+.1%})"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "ensemble": self.ensemble,
            "single": self.single,
            "scores": list(self.scores),
            "error_reduction": self.reduction,
            "interval": [self.interval.low, self.interval.high],
        }


def gain(board: Leaderboard) -> Gain:
    """Raises GainError where no ensemble, or nothing but ensembles, was ranked."""
    single = _first(
        [entry for entry in board.entries if not isinstance(entry.contender, Ensemble | Constant)], "single"
    )
    ensemble = _first([entry for entry in board.entries if isinstance(entry.contender, Ensemble)], "ensemble")
    metric, truth, pair = board.metric, board.truth, (ensemble.predicted, single.predicted)
    spared, band = error_reduction(metric, truth, *pair, seed=board.split.seed)
    scores = (metric.score(truth, pair[0]), metric.score(truth, pair[1]))
    return Gain(ensemble.name, single.name, metric.title, scores, spared, band)


def error_reduction(
    metric: Metric, truth: Truth, predicted: np.ndarray, other: np.ndarray, *, seed: int
) -> tuple[float, Interval]:
    """The share of the other's error that these predictions of the same rows spare, and where it lies at 95 %.

    Error and interval are as `Gain` has them; nan where the other does not err.
    """
    drawn = resample(metric, truth, [predicted, other], seed=seed)
    reductions = _reduction(drawn.scores, larger=metric.sign > 0)
    known = reductions[np.isfinite(reductions)]
    band = Interval(*map(float, np.quantile(known, [0.025, 0.975]))) if len(known) else Interval(np.nan, np.nan)
    return float(_reduction(drawn.full[None], larger=metric.sign > 0)[0]), band


def _reduction(scores: np.ndarray, *, larger: bool) -> np.ndarray:
    """scores: shape (resamples, 2), those whose error is less in the first column."""
    errors = 1 - scores if larger else scores
    known = errors[:, 1] > 0
    return np.asarray(1 - np.divide(errors[:, 0], errors[:, 1], out=np.full(len(errors), np.nan), where=known))


def _first(entries: list[Entry], what: str) -> Entry:
    if not entries:
        raise GainError(
            f"no {what} contender was ranked, so there is nothing to compare. Give the contest more minutes."
        )
    return entries[0]
