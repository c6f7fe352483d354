"""Statistical forecasts, a model for each series: exponential smoothing, Theta and ARIMA, each chosen by itself."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model, OutOfTimeError
from framework.contenders.effect import Effect
from framework.contenders.history import History
from framework.contenders.naive import naive_forecast
from framework.contenders.series_crew import Method, forecasts
from framework.data.frame import Fold
from framework.problem import Kind

TOLD = "forecasts.npz"
CLOSING = 0.5  # seconds kept for putting the model together
SPREAD = 10.0  # a forecast so many times further from the series' values than these are apart is no forecast


@dataclass(frozen=True)
class Statistical:
    """The best of a family for each series, by its information criterion, as statsforecast has them.

    method: "ets" (Hyndman et al. 2008; a season of more than 24 steps is taken out by STL first), "theta" (Fiorucci
    et al. 2016) or "arima" (Hyndman & Khandakar 2008), slow on long seasons.
    What columns known ahead add is taken out of the past before, by a regression, and put back into the forecast.
    Series that are not done by the deadline are told as a season ago, with a remark. longest: only the last so many
    values of a series are looked at.
    """

    method: Method = "ets"
    longest: int = 1_000
    name: str = ""
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"forecast"})
    pooled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.method)

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> "StatisticalModel":
        learned = History.learn(fold)
        effect = Effect.learn(learned)
        history = effect.without(learned)
        steps = 4 * fold.problem.horizon + 2 * history.season  # a fold's model is asked for horizons after its own
        begins = np.maximum(history.first, history.last + 1 - self.longest)
        spans = list(zip(begins.tolist(), (history.last + 1).tolist(), strict=True))
        told = forecasts(
            [history.values[code, begin:end] for code, (begin, end) in enumerate(spans)],
            method=self.method,
            season=history.season,
            steps=steps,
            workers=context.threads,
            deadline=context.deadline - CLOSING,
        )
        ahead, within = np.full((len(spans), steps), math.nan), np.full(history.values.shape, math.nan)
        for code, each in told.items():
            begin, end = spans[code]
            if not _far(each.ahead, history.values[code, begin:end]).any():
                ahead[code], within[code, begin:end] = each.ahead, each.within
                within[code, begin : begin + history.season] = math.nan  # told while the level was still sought
        lacking = int(np.isnan(ahead[:, 0]).sum())
        if lacking == len(spans):
            raise StatisticalTimeError(
                f"{self.method} found a model of none of {len(spans)} series in its time. Give it more minutes."
            )
        if lacking:
            context.remark(f"{lacking} of {len(spans)} series are told as a season ago: no model was found in time")
        return StatisticalModel(history, ahead, within, effect)

    def settled(self, model: Model) -> "Statistical":
        return self


class StatisticalTimeError(OutOfTimeError):
    """No series' model was found in time: what would be left is the seasonal naive forecast, which enters by itself."""


@dataclass(frozen=True)
class StatisticalModel:
    """Each series' forecasts as they were made, and its past as it was told step by step.

    ahead: shape (series, steps), nan where no model was found; within: shape (series, history's steps). Steps after
    the last repeat its season; what neither tells is the seasonal naive forecast. effect: what columns known ahead add;
    the rest is without it.
    """

    history: History
    ahead: np.ndarray = field(repr=False)
    within: np.ndarray = field(repr=False)
    effect: Effect

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        history = self.history
        codes, columns = history.places(X)
        told = naive_forecast(history, codes, columns)
        known = np.maximum(codes, 0)
        step = columns - history.last[known] - 1
        steps = self.ahead.shape[1]
        back = np.ceil(np.maximum(step - steps + 1, 0) / history.season).astype(np.int64) * history.season
        later = self.ahead[known, np.clip(step - back, 0, steps - 1)]
        inside = (columns >= 0) & (step < 0)
        earlier = self.within[known, np.where(inside, columns, 0)]
        found = np.where(step >= 0, later, np.where(inside, earlier, math.nan))
        told = np.where((codes >= 0) & np.isfinite(found), found, told)
        return np.asarray(told + self.effect.at(codes, history.planned.matrix(X)))

    def save(self, folder: Path) -> None:
        self.history.save(folder)
        self.effect.save(folder)
        np.savez(folder / TOLD, ahead=self.ahead, within=self.within)

    @classmethod
    def load(cls, folder: Path) -> Self:
        with np.load(folder / TOLD, allow_pickle=False) as parts:
            return cls(History.load(folder), parts["ahead"], parts["within"], Effect.load(folder))


def _far(told: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which forecasts are not finite or have run away from what the series has been."""
    spread = max(float(np.ptp(values)), 1e-9 * float(np.abs(values).max(initial=1.0)))
    return np.asarray(~(np.abs(told - np.median(values)) <= SPREAD * spread))
