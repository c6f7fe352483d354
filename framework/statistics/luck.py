"""How much of the best score is luck: the best of many on the same rows is partly best by chance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from framework.data.frame import Truth
from framework.metric import Metric
from framework.rescoring import rescorer
from framework.statistics.bootstrap import MOST_ROWS, REPEATS, Interval, resample
from framework.statistics.resampling import Resampling


@dataclass(frozen=True)
class Gap:
    """What the validation rows promised and the test rows kept, in the metric's units.

    optimism: how much better the validation score was, whichever way the metric runs; negative: the test was better.
    interval: of the optimism, at 95 %. It holds both choosing among many and the two samples' chance.
    """

    validation: float
    test: float
    optimism: float
    interval: Interval

    @property
    def real(self) -> bool:
        """Whether the validation score flattered by more than chance."""
        return self.interval.low > 0

    def __str__(self) -> str:
        low, high = self.interval.low, self.interval.high
        return (
            f"validation {self.validation:.4g}, test {self.test:.4g}: {self.optimism:+.2g} ({low:+.2g} … {high:+.2g})"
        )


def gap(
    metric: Metric,
    validation: tuple[Truth, np.ndarray],
    test: tuple[Truth, np.ndarray],
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Gap:
    """The winner's scores on the rows it was chosen by and on those that nobody saw: (truth, predictions) each."""
    chosen, kept = (
        resample(metric, truth, [predicted], seed=seed + place, repeats=repeats)
        for place, (truth, predicted) in enumerate((validation, test))
    )
    sign = metric.sign
    seen = float(chosen.full[0]), float(kept.full[0])
    both = min(len(chosen.scores), len(kept.scores))
    spread = sign * (chosen.scores[:both, 0] - kept.scores[:both, 0])
    known = spread[np.isfinite(spread)]
    band = Interval(*map(float, np.quantile(known, [0.025, 0.975]))) if len(known) else Interval(math.nan, math.nan)
    return Gap(*seen, sign * (seen[0] - seen[1]), band)


def selection_luck(
    metric: Metric, truth: Truth, predictions: Mapping[str, np.ndarray], *, seed: int = 0, repeats: int = 200
) -> float:
    """How much better the best of these looks on the rows it is chosen by than on others, in the metric's units.

    The bootstrap bias corrected estimate (Tsamardinos, Greasidou, Borboudakis 2018): of each resample the best is
    chosen, and scored on the rows left out. Never negative; nan where no score can be told.
    """
    if len(truth) == 0 or not predictions:
        return math.nan
    random = np.random.default_rng(seed)
    drawing = Resampling.of(metric, truth)
    if drawing.rows > MOST_ROWS:
        part = drawing.part(random, MOST_ROWS)
        truth, predictions = truth.take(part), {name: each[part] for name, each in predictions.items()}
        drawing = Resampling.of(metric, truth)
    sign = metric.sign
    scorers = [rescorer(metric, truth, each) for each in predictions.values()]
    best = max((sign * score(np.ones((1, drawing.rows)))[0] for score in scorers), default=math.nan)
    chosen = []
    for counts in drawing.draws(random, repeats):
        inside = sign * np.column_stack([score(counts) for score in scorers])
        outside = sign * np.column_stack([score((counts == 0).astype(np.float64)) for score in scorers])
        winners = np.where(np.isfinite(inside), inside, -np.inf).argmax(axis=1)
        chosen.append(outside[np.arange(len(counts)), winners])
    honest = np.concatenate(chosen)
    honest = honest[np.isfinite(honest)]
    return float(max(0.0, best - honest.mean())) if len(honest) and math.isfinite(best) else math.nan
