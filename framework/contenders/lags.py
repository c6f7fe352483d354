"""What a regression is told of a series' past, at an origin, for a step ahead of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from framework.contenders.calendar import calendar_columns, calendar_features
from framework.contenders.history import History
from framework.data.column import Column
from framework.data.schema import Schema

RECENT = 6  # last values before the origin


@dataclass(frozen=True)
class Lags:
    """Features of (series, origin, step), every value divided by its series' level at the origin, so that what is
    learned on a small series serves a large one, and trees can follow a trend. Neither the level nor the series' name
    is told: with them a model learns to fall back to each series' past mean, and forecasts were worse on average.

    steps: the longest step that was trained on; a longer one counts as it.
    """

    history: History
    steps: int

    def schema(self) -> Schema:
        return Schema(tuple(Column(name, "number") for name in self.columns))

    @property
    def columns(self) -> list[str]:
        recent = [f"last_{back}" for back in range(RECENT)]
        own = ["step", "season_ago", "two_seasons_ago", "mean_3", "mean_season", "mean_two_seasons", "growth"]
        longer = [f"{name}_ago" for name, _ in self.longer]
        plans = [*self.history.planned.names, *(f"{name}, change" for name in self.history.planned.names)]
        return [*own, "year_growth", *recent, *longer, *plans, *calendar_columns(self.history)]

    @property
    def longer(self) -> list[tuple[str, int]]:
        """The longer seasons that the history holds once and half again."""
        past = self.history
        return [each for each in past.calendar.seasons(past.season) if 3 * each[1] <= 2 * past.values.shape[1]]

    def table(
        self, codes: np.ndarray, origins: np.ndarray, ends: np.ndarray, plans: np.ndarray | None = None
    ) -> pd.DataFrame:
        """One row for each (series, origin, column to be told); all of shape (rows,).

        plans: what is planned for the columns to be told, shape (rows, planned names); None: as the history has it.
        Beside it stands how it differs from what it was where the seasonal naive forecast comes from.
        """
        past, m = self.history, self.history.season
        level = self.level(codes, origins)
        naive = past.naive(codes, origins, ends)
        ahead = np.clip(ends - origins, 1, None)
        before = ends - (np.ceil(ahead / m).astype(np.int64) + 1) * m
        means = {width: past.mean(codes, origins, width) for width in {3, m, 2 * m}}
        with np.errstate(invalid="ignore", divide="ignore"):
            told = {
                "step": np.minimum(ahead, self.steps),
                "season_ago": naive / level,
                "two_seasons_ago": past.at(codes, before) / level,
                "mean_3": means[3] / level,
                "mean_season": means[m] / level,
                "mean_two_seasons": means[2 * m] / level,
                "growth": (means[m] - past.mean(codes, origins - m, m)) / level,
                "year_growth": (past.at(codes, origins) - past.at(codes, origins - m)) / level,
            }
            for back in range(RECENT):
                told[f"last_{back}"] = past.at(codes, origins - back) / level
            for name, steps in self.longer:
                told[f"{name}_ago"] = past.at(codes, ends - np.ceil(ahead / steps).astype(np.int64) * steps) / level
        if past.planned.columns:
            now = past.plans_at(codes, ends) if plans is None else plans
            change = now - past.plans_at(codes, past.naive_columns(codes, origins, ends))
            for place, name in enumerate(past.planned.names):
                told[name], told[f"{name}, change"] = now[:, place], change[:, place]
        told |= calendar_features(past, ends)
        return pd.DataFrame({name: np.asarray(told[name], dtype=np.float64) for name in self.columns})

    def level(self, codes: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """The size of a series at an origin: the mean of its last season or more, and never next to nothing."""
        past = self.history
        mean = np.abs(past.mean(codes, origins, max(past.season, 4)))
        return np.asarray(np.where(np.isfinite(mean), np.maximum(mean, past.error[codes]), past.error[codes]))

    def pairs(self, *, most: int, since: int | None, until: int | None, seed: int) -> tuple[np.ndarray, ...]:
        """(series, origin, end) of what can be learned from, at most `most`, each end a value that was there.

        since: only origins that lie at most so many steps before their series' last. until: only ends at least so
        many steps before it.
        """
        past = self.history
        rng = np.random.default_rng(seed)
        all_codes, all_origins, all_ends = [], [], []
        for code in range(len(past.labels)):
            first, last = int(past.first[code]), int(past.last[code])
            stop = last - (until or 0)
            start = max(first + min(past.season, max(0, (stop - first) // 2)), last - since if since else first)
            origins = np.arange(start, stop)
            pairs = origins[:, None] + np.arange(1, self.steps + 1)
            fits = (pairs <= stop) & past.seen[code, np.minimum(pairs, last)]
            rows, steps = np.nonzero(fits)
            all_codes.append(np.full(len(rows), code))
            all_origins.append(origins[rows])
            all_ends.append(origins[rows] + steps + 1)
        told = [np.concatenate(part) for part in (all_codes, all_origins, all_ends)]
        if len(told[0]) > most:
            kept = np.sort(rng.choice(len(told[0]), most, replace=False))
            told = [part[kept] for part in told]
        return tuple(told)
