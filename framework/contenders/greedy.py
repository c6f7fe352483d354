"""Greedy ensemble selection with replacement (Caruana et al. 2004), quick enough for dozens of contenders."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from framework.data.frame import Truth
from framework.metric import Metric
from framework.rescoring import rescorer

MANY = 8  # contenders; of more than these the better half can be chosen
START = 3  # contenders that a selection begins with
MOST_ROWS = 20_000  # that weights are chosen by: more of them move no weight
SLOW_ROWS = 5_000  # the same for a metric that takes long to score


def select(
    predictions: Mapping[str, np.ndarray], truth: Truth, scored: Metric, *, rounds: int = 50, start: int = START
) -> dict[str, float]:
    """To the mean of the best few, who lifts it most is added, again and again.

    predictions: on the rows of `truth`, all of one shape. start: how many it begins with, so that one lucky contender
    does not lead it (Caruana et al. 2004, "sorted initialization"). Of all the means on the way the best counts, or
    the best contender alone where that is better than any. Of more than eight contenders the better half can be
    chosen: a library without its worst models overfits less (Caruana et al. 2006, "model library pruning"). Of very
    many rows a part is looked at.
    Returns the share of each that was chosen, largest first; they sum to 1. Ties go to the name given first.
    """
    rows = _looked_at(len(truth), SLOW_ROWS if _score(scored, truth) is None else MOST_ROWS)
    if rows is not None:
        truth, predictions = truth.take(rows), {name: answers[rows] for name, answers in predictions.items()}
    names = list(predictions)
    told = {name: _telling(scored, truth, predictions[name]) for name in names}
    score = _score(scored, truth) or (lambda predicted: _plainly(scored, truth, predicted))
    scores = {name: score(told[name]) for name in names}
    known = [name for name in names if math.isfinite(scores[name])]
    if not known:
        return {names[0]: 1.0}
    ranked = sorted(known, key=lambda name: -scored.sign * scores[name])
    able = ranked[: max(MANY, math.ceil(len(ranked) / 2))]
    kept, best = ranked[:1], scores[ranked[0]]
    chosen = ranked[:start]
    total = np.sum([told[name] for name in chosen], axis=0)
    reached = score(total / len(chosen))
    while True:
        if scored.better(reached, best):
            kept, best = list(chosen), reached
        if len(chosen) >= rounds:
            break
        tried = {name: score((total + told[name]) / (len(chosen) + 1)) for name in names if name in able}
        name = _best(tried, scored)
        chosen, total, reached = [*chosen, name], total + told[name], tried[name]
    shares = {name: kept.count(name) / len(kept) for name in kept}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _best(scores: Mapping[str, float], scored: Metric) -> str:
    """Whose score is best; of equal ones the first."""
    first, *rest = scores
    for name in rest:
        if scored.better(scores[name], scores[first]):
            first = name
    return first


def _looked_at(rows: int, most: int) -> np.ndarray | None:
    """The rows to choose by, sorted, when there are more than `most`; None: all."""
    if rows <= most:
        return None
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def _telling(scored: Metric, truth: Truth, predicted: np.ndarray) -> np.ndarray:
    """Of predictions what the metric's quick score looks at: of probabilities one column, where that is enough.

    Means of it are what the mean of the predictions tells.
    """
    exact = np.asarray(predicted, dtype=np.float64)
    if _score(scored, truth) is None or exact.ndim == 1:
        return exact
    exact = exact / exact.sum(axis=1, keepdims=True)
    return np.asarray(exact[:, 1] if scored.name == "roc_auc" else exact[np.arange(len(exact)), truth.y])


def _plainly(scored: Metric, truth: Truth, predicted: np.ndarray) -> float:
    return float(rescorer(scored, truth, predicted)(np.ones((1, len(truth))))[0])


def _score(scored: Metric, truth: Truth) -> Callable[[np.ndarray], float] | None:
    """A quick way to the score from what `_telling` leaves of the predictions; None: there is none."""
    y, weight = truth.y, truth.weight
    if y is None or not len(y):
        return None
    share = np.full(len(y), 1 / len(y)) if weight is None else weight / weight.sum()
    if scored.name == "log_loss":
        least = np.finfo(np.float64).eps
        return lambda told: -float(share @ np.log(np.clip(told, least, 1 - least)))
    if scored.name == "brier" and truth.classes == 2:
        return lambda told: float(share @ (1 - told) ** 2)
    if scored.name == "rmse":
        return lambda told: math.sqrt(float(share @ (y - told) ** 2))
    if scored.name == "mae":
        return lambda told: float(share @ np.abs(y - told))
    if scored.name == "roc_auc" and truth.classes == 2 and weight is None:
        return _area(np.asarray(y) == 1)
    return None


def _area(hit: np.ndarray) -> Callable[[np.ndarray], float]:
    """The ROC area of class 1's probabilities, to their seventh digit: by the ranks of the hits.

    A float32 above 0 sorts as the integer of its bits does, and integers sort quickest. The lowest bit tells the hits
    from the misses: of equal probabilities they come last, or first in a second run; a tie counts half.
    """
    last = hit.astype(np.uint32)
    first = np.uint32(1) - last
    hits, misses = int(hit.sum()), int((~hit).sum())
    unit = np.uint32(1)

    def area(told: np.ndarray) -> float:
        if not hits or not misses or not np.isfinite(told).all():
            return math.nan
        bits = np.clip(told, 0.0, None).astype(np.float32).view(np.uint32) & ~unit
        above = 0
        for marks, mark in ((last, 1), (first, 0)):
            keys = bits | marks
            keys.sort()
            above += int(np.flatnonzero((keys & unit) == mark).sum())
        return (above / 2 - hits * (hits - 1) / 2) / (hits * misses)

    return area
