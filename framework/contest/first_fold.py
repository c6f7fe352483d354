"""What the first fold tells while the others are not done: who is promising, and whether those who finished suffice."""

from collections.abc import Mapping, Sequence

import numpy as np

from framework.contenders.blend import select
from framework.data.frame import Truth
from framework.metric import Metric
from framework.statistics import compare
from framework.statistics.preference import TIED


def promising(names: Sequence[str], answers: Mapping[str, np.ndarray], truth: Truth, metric: Metric) -> list[str]:
    """Contenders by what their first folds tell: those that a blend of all would weigh most, then the best.

    answers: everyone's, on the first fold's rows, whose truth is given; those of `names` are among them.
    """
    weights = select(answers, truth, metric)
    sign = metric.sign
    scores = {name: sign * metric.score(truth, answers[name]) for name in names}
    return sorted(names, key=lambda name: (weights.get(name, 0.0), scores[name]), reverse=True)


def suffices(
    finished: Sequence[str], answers: Mapping[str, np.ndarray], truth: Truth, metric: Metric, *, seed: int
) -> bool:
    """Whether one of those that finished all folds is not told apart, on the first fold, from whoever did best there.

    answers: everyone's, on the first fold's rows, whose truth is given.
    """
    if not finished:
        return False
    scores = {name: metric.score(truth, each) for name, each in answers.items()}
    best = max(scores, key=lambda name: metric.sign * scores[name])
    noises = compare(metric, truth, answers, best, seed=seed)
    return any(name == best or not noises[name] < TIED for name in finished)
