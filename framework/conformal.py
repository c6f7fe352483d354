"""How far an answer may be off: intervals that hold the truth as often as they say, whatever model told it.

Vovk, Gammerman, Shafer 2005; Lei et al. 2018 (split conformal, locally weighted); Romano, Patterson, Candès 2019
(conformalised quantiles); Barber et al. 2021 (CV+). All need rows that the model has not learned from.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.contenders.history import Calendar
from framework.data.frame import Fold, Truth
from framework.horizon import Horizon

LEVEL = 0.9
PARTS = 5
LOCAL_ROWS = 150  # from which widths may follow the prediction
BIN_ROWS = 30
MOST_BINS = 10
LEAST_WIDTH = 0.1  # of the mean error: no interval is a point
STEP_ROWS = 50  # errors that a step's margin is read off; neighbouring steps lend theirs


class ConformalError(UserError):
    """Too few rows for intervals of such a level, or a level that is none."""


@dataclass(frozen=True)
class Band:
    """The interval around each answer: ± margin × width. Plain data.

    margins: one; of forecasts one for each step ahead, the last for all later ones too.
    knots, widths: the width as a line over the prediction; none: 1. horizon: of forecasts, whose width is
    the series' size.
    """

    level: float
    margins: tuple[float, ...]
    knots: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()
    horizon: Horizon | None = field(default=None, repr=False)

    def around(self, predicted: np.ndarray, X: pd.DataFrame | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest value that the truth should have, each shape (rows,).

        X: the rows, conformed; forecasts need them. Raises ConformalError for a forecast without.
        """
        if self.horizon is None:
            reach = self.margins[0] * self._width(predicted)
        elif X is None:
            raise ConformalError("a forecast's interval depends on the step ahead. Pass the rows too.")
        else:
            steps = np.minimum(self.horizon.steps(X), len(self.margins))
            reach = np.array(self.margins)[steps - 1] * self.horizon.sizes(X)
        return predicted - reach, predicted + reach

    def after(self, fold: Fold) -> "Band":
        """The same for a model that has learned all training rows of this fold; other than forecasts do not change."""
        return self if self.horizon is None else replace(self, horizon=Horizon.learn(fold))

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        told = data["horizon"]
        horizon = None if told is None else Horizon(**{**told, "calendar": Calendar(**told["calendar"])})
        margins, knots, widths = (tuple(map(float, data[name])) for name in ("margins", "knots", "widths"))
        return cls(float(data["level"]), margins, knots, widths, horizon)

    def _width(self, predicted: np.ndarray) -> np.ndarray:
        return np.interp(predicted, self.knots, self.widths) if self.knots else np.ones(len(predicted))


@dataclass(frozen=True)
class Coverage:
    """What intervals of such a level held, of rows that nobody had seen. share: of these rows; width: their median
    width, in the target's units."""

    level: float
    share: float
    width: float

    def __str__(self) -> str:
        return (
            f"{100 * self.level:g} % intervals covered {100 * self.share:.1f} % of the test rows "
            f"(median width {self.width:.4g})"
        )

    def to_json(self) -> dict[str, float]:
        """What the leaderboard and the model's facts hold of it."""
        return {"level": self.level, "coverage": self.share, "median_width": self.width}


def coverage(band: Band, predicted: np.ndarray, y: np.ndarray, X: pd.DataFrame | None = None) -> Coverage:
    """How many of these rows' answers y the intervals around the predictions hold, all shape (rows,).

    X: the rows, conformed; forecasts need them.
    """
    low, high = band.around(predicted, X)
    inside = (low <= y) & (y <= high)
    return Coverage(band.level, float(inside.mean()), float(np.median(high - low)))


def band(predicted: np.ndarray, truth: Truth, *, level: float = LEVEL, local: bool = True, seed: int = 0) -> Band:
    """Split conformal intervals, from errors on rows that the model has not learned from (validation, out-of-fold).

    local: widths may follow the size of the prediction, where that narrows them on the whole.
    Raises ConformalError for too few rows: level 0.9 needs 9.
    """
    error = np.abs(np.asarray(truth.y) - predicted)
    plain = Band(level, (quantile(error, level),))
    if not local or len(error) < LOCAL_ROWS:
        return plain
    part = np.random.default_rng(seed).permutation(len(error)) % PARTS
    scores = np.empty(len(error))
    for each in range(PARTS):  # widths that follow a row's own error would make its score too small
        rest, held = part != each, part == each
        scores[held] = error[held] / np.interp(predicted[held], *_widths(predicted[rest], error[rest]))
    knots, widths = _widths(predicted, error)
    weighted = Band(level, (quantile(scores, level),), tuple(knots.tolist()), tuple(widths.tolist()))
    narrower = weighted.margins[0] * weighted._width(predicted).mean() < plain.margins[0]
    return weighted if narrower else plain


def forecast_band(predicted: Sequence[np.ndarray], folds: Sequence[Fold], *, level: float = LEVEL) -> Band:
    """Conformal intervals of a forecast, for each step ahead, wider the farther; errors measured by the series' sizes.

    predicted: of each fold's validation rows, told from its training rows. folds: one, or rolling origins with the
    latest first, which is where the intervals then start. Where the model then learned all rows, take
    `forecast_band(…).after(fold.pooled())`. Raises ConformalError for too few rows.
    """
    horizons = [Horizon.learn(fold) for fold in folds]
    steps = np.concatenate([known.steps(fold.valid.X) for known, fold in zip(horizons, folds, strict=True)])
    told = zip(horizons, folds, predicted, strict=True)
    scores = np.concatenate([np.abs(fold.valid.y - each) / known.sizes(fold.valid.X) for known, fold, each in told])
    margins = []
    for step in range(1, int(steps.max(initial=1)) + 1):
        distance = np.abs(steps - step)
        reach = np.sort(distance)[min(STEP_ROWS, len(distance)) - 1] if len(distance) else 0
        margins.append(quantile(scores[distance <= reach], level))
    return Band(level, tuple(np.maximum.accumulate(margins).tolist()), horizon=horizons[0])


def quantile(scores: np.ndarray, level: float) -> float:
    """The ⌈(n + 1) level⌉-th smallest of n scores: the next one is below it with at least this probability.

    Raises ConformalError where there is none.
    """
    if not 0 < level < 1:
        raise ConformalError(f"level is {level:g}; it lies between 0 and 1, such as 0.9.")
    known = np.sort(scores[np.isfinite(scores)])
    place = math.ceil((len(known) + 1) * level - 1e-9)
    if place > len(known):
        least = math.ceil(level / (1 - level) - 1e-9)
        raise ConformalError(f"{len(known)} rows are too few for intervals of level {level:g}: it takes {least}.")
    return float(known[place - 1])


def quantile_margin(low: np.ndarray, high: np.ndarray, y: np.ndarray, *, level: float = LEVEL) -> float:
    """What to add at both ends of intervals that a quantile regression told (Romano et al. 2019); may be negative.

    low, high, y: of rows that it has not learned from, each shape (rows,).
    """
    return quantile(np.maximum(low - y, y - high), level)


def cv_plus(
    errors: np.ndarray, part: np.ndarray, told: np.ndarray, *, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """CV+ intervals (Barber et al. 2021), from the models of all parts: the least and greatest value, shape (rows,).

    errors: each training row's |error| by the model of its part, that was fit without it, shape (n,); part: its number.
    told: what these models answer to the rows asked, shape (parts, rows).
    """
    lowest = told[part] - errors[:, None]
    highest = told[part] + errors[:, None]
    place = math.ceil((len(errors) + 1) * level - 1e-9)
    if place > len(errors):
        quantile(errors, level)
    return -np.sort(-lowest, axis=0)[place - 1], np.sort(highest, axis=0)[place - 1]


def _widths(predicted: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean error at some predictions, both rising in the first: a line to read widths off."""
    bins = max(1, min(MOST_BINS, len(error) // BIN_ROWS))
    parts = np.array_split(np.argsort(predicted, kind="stable"), bins)
    knots = np.array([np.median(predicted[rows]) for rows in parts])
    widths = np.array([error[rows].mean() for rows in parts])
    return knots, np.maximum(widths, max(LEAST_WIDTH * error.mean(), 1e-12))
