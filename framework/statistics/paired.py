"""compare(): which entries are worse than the best by more than luck."""

import math
from collections.abc import Mapping

import numpy as np

from framework.data.frame import Truth
from framework.metric import Metric
from framework.statistics.bootstrap import REPEATS, resample
from framework.statistics.delong import delong
from framework.statistics.holm import holm
from framework.statistics.resampling import Resampling

FINENESS = 40  # resamples for each test at the least: else Holm's correction could find nothing, whatever was seen


def compare(
    metric: Metric,
    truth: Truth,
    predictions: Mapping[str, np.ndarray],
    best: str,
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> dict[str, float]:
    """The p-value of "it scores as the best does" of every entry but the best, corrected by Holm.

    predictions: each entry's, of the rows of `truth` in their order, the best's among them.
    DeLong's test for the ROC area of two classes where rows are independent and weigh the same; else the paired
    bootstrap over what hangs together. nan where a score could not be told.
    """
    others = [name for name in predictions if name != best]
    if not others or len(truth) == 0:
        return dict.fromkeys(others, math.nan)
    names = [best, *others]
    given = [np.asarray(predictions[name]) for name in names]
    if suits_delong(metric, truth):
        areas = delong(np.asarray(truth.y) == 1, [each[:, 1] for each in given])
        return holm({name: areas.p_value(0, place) for place, name in enumerate(others, 1)})
    drawn = resample(metric, truth, given, seed=seed, repeats=max(repeats, FINENESS * len(others)))
    return holm({name: drawn.p_value(0, place) for place, name in enumerate(others, 1)})


def suits_delong(metric: Metric, truth: Truth) -> bool:
    """Whether DeLong's formula holds: the ROC area of two classes, of independent rows that weigh the same."""
    two = metric.name == "roc_auc" and truth.classes == 2 and truth.y is not None
    return two and truth.weight is None and Resampling.of(metric, truth).alone
