"""How much worse a model scores when one column is shuffled (Breiman 2001; Fisher, Rudin & Dominici 2019)."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.frame import Frame
from framework.metric import Metric

MOST_ROWS = 2_000
REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """One raw column's. drop: how much worse the score is without it, in the metric's units, averaged over shuffles;
    0 for a column the model does not use. spread: the standard deviation over shuffles; nan for a single one."""

    feature: str
    drop: float
    spread: float


def permutation(model: Model, frame: Frame, metric: Metric, *, seconds: float, seed: int) -> tuple[Importance, ...]:
    """Every column's importance, largest first, over at most 2,000 rows and five shuffles, fewer when time is short.

    Columns that time did not reach at all are left out. The score is that of rows the model has not learned from, if
    `frame` holds such. Correlated columns share their importance: each alone may look dispensable.
    """
    end, random = time.monotonic() + seconds, np.random.default_rng(seed)
    if len(frame) > MOST_ROWS:
        frame = frame.take(np.sort(random.choice(len(frame), MOST_ROWS, replace=False)))
    sign = 1.0 if metric.direction == "max" else -1.0
    whole = metric.score(frame.truth, model.predict(frame.X))
    drops: dict[str, list[float]] = {name: [] for name in frame.X.columns}
    for name in [name for _ in range(REPEATS) for name in drops]:
        if time.monotonic() > end:
            break
        shuffled = frame.X.assign(**{name: _shuffled(frame.X[name], random)})
        drops[name].append(sign * (whole - metric.score(frame.truth, model.predict(shuffled))))
    found = [
        Importance(name, float(np.mean(each)), float(np.std(each, ddof=1)) if len(each) > 1 else float("nan"))
        for name, each in drops.items()
        if each and np.isfinite(each).all()
    ]
    return tuple(sorted(found, key=lambda importance: -importance.drop))


def _shuffled(column: pd.Series, random: np.random.Generator) -> pd.Series:
    return column.take(random.permutation(len(column))).set_axis(column.index)
