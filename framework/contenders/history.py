"""What each series has been, on a common grid of steps: what a forecast starts from."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from framework.contenders.planned import Planned
from framework.contenders.steps import Calendar as Calendar
from framework.data.frame import Fold
from framework.data.times import season

CARD = "history.json"
VALUES = "history.parquet"
MOST_CELLS = 50_000_000  # series × steps


@dataclass(frozen=True)
class History:
    """The training values of every series, shape (series, steps), gaps carried forward, nan before its first.

    seen: which of them were there, not carried forward. start: the step of the first column. season: m.
    planned: the columns known ahead; plans: what they were, shape (series, steps, planned names), nan where not told.
    """

    calendar: Calendar
    labels: tuple[str, ...]
    start: int
    season: int
    values: np.ndarray = field(repr=False)
    seen: np.ndarray = field(repr=False)
    time: str
    series: str | None
    planned: Planned = field(default_factory=Planned)
    plans: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def learn(cls, fold: Fold) -> Self:
        """From the training rows of a forecast."""
        problem, X = fold.problem, fold.train.X
        times = X[str(problem.time)]
        labels: Sequence[object] = [""]
        codes = np.zeros(len(X), dtype=np.int64)
        if problem.series is not None:
            codes, found = pd.factorize(X[problem.series].astype(str), sort=True)
            labels = list(found)
        calendar = Calendar.learn(times)
        ticks = calendar.ticks(times)
        known = np.isfinite(ticks) & np.isfinite(fold.train.y)
        start = int(ticks[known].min()) if known.any() else 0
        places = (ticks[known] - start).astype(np.int64)
        width = min(int(places.max()) + 1 if len(places) else 1, MOST_CELLS // max(1, len(labels)))
        shift = max(0, (int(places.max()) + 1 if len(places) else 1) - width)  # the oldest steps are let go
        places, kept = places - shift, places >= shift
        total, count = np.zeros((len(labels), width)), np.zeros((len(labels), width))
        where = (codes[known][kept], places[kept])
        np.add.at(total, where, fold.train.y[known][kept])
        np.add.at(count, where, 1.0)
        seen = count > 0
        raw = np.where(seen, total / np.maximum(count, 1.0), np.nan)
        longest = codes == np.bincount(codes).argmax()
        m = season(times[longest].to_numpy()) if longest.any() else 1
        names = tuple(str(label) for label in labels)
        filled = pd.DataFrame(raw).ffill(axis=1).to_numpy()
        last = width - 1 - seen[:, ::-1].argmax(axis=1)
        filled[np.arange(width) > last[:, None]] = np.nan
        planned, plans = Planned.learn(fold), None
        if planned.columns:
            plans = np.full((*filled.shape, len(planned.names)), np.nan)
            plans[where] = planned.matrix(X)[known][kept]
        return cls(calendar, names, start + shift, m, filled, seen, str(problem.time), problem.series, planned, plans)

    @cached_property
    def first(self) -> np.ndarray:
        """The column of each series' first value."""
        return np.asarray(self.seen.argmax(axis=1))

    @cached_property
    def last(self) -> np.ndarray:
        """The column of each series' last value."""
        return np.asarray(self.seen.shape[1] - 1 - self.seen[:, ::-1].argmax(axis=1))

    @cached_property
    def error(self) -> np.ndarray:
        """Each series' mean absolute seasonal naive error, never 0: what MASE divides by."""
        errors = np.full(len(self.values), np.nan)
        for lag in (self.season, 1):
            if lag < self.values.shape[1]:
                differences = np.abs(self.values[:, lag:] - self.values[:, :-lag])
                counts = np.isfinite(differences).sum(axis=1)
                means = np.nansum(differences, axis=1) / np.maximum(counts, 1)
                errors = np.where(np.isfinite(errors) & (errors > 0), errors, np.where(counts > 0, means, np.nan))
        positive = errors[np.isfinite(errors) & (errors > 0)]
        return np.where(np.isfinite(errors) & (errors > 0), errors, positive.mean() if len(positive) else 1.0)

    def places(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """The series code (-1: unknown) and the column of each row; a missing moment is the step after the last."""
        codes = np.zeros(len(X), dtype=np.int64)
        if self.series is not None:
            codes = pd.Index(self.labels).get_indexer(pd.Index(X[self.series].astype(str)))
        ticks = self.calendar.ticks(X[self.time]) - self.start
        after = np.where(codes >= 0, self.last[codes], self.last.max()) + 1
        return codes, np.clip(np.where(np.isfinite(ticks), ticks, after), -(10**6), 10**6).astype(np.int64)

    def at(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Values, nan outside of what is known."""
        inside = (columns >= 0) & (columns < self.values.shape[1])
        return np.where(inside, self.values[codes, np.where(inside, columns, 0)], np.nan)

    def plans_at(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """What was planned, shape (rows, planned names), nan outside of what is known."""
        if self.plans is None:
            return np.empty((len(codes), 0))
        inside = (columns >= 0) & (columns < self.plans.shape[1])
        return np.where(inside[:, None], self.plans[codes, np.where(inside, columns, 0)], np.nan)

    def mean(self, codes: np.ndarray, ends: np.ndarray, width: int) -> np.ndarray:
        """The mean of up to `width` values that end with column `ends`, nan where there is none."""
        low, high = np.clip(ends + 1 - width, 0, None), np.clip(ends + 1, 0, self.values.shape[1])
        low = np.minimum(low, high)
        total, count = self._sums
        counted = count[codes, high] - count[codes, low]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counted > 0, (total[codes, high] - total[codes, low]) / counted, np.nan)

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        nothing = np.zeros((len(self.values), 1))
        total = np.cumsum(np.nan_to_num(self.values), axis=1)
        count = np.cumsum(np.isfinite(self.values), axis=1)
        return np.hstack([nothing, total]), np.hstack([nothing, count])

    def naive(self, codes: np.ndarray, origins: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The value of the same season, the latest one up to each row's origin; where there is none, the value at the
        origin; before a series' first value, that first value. All of shape (rows,)."""
        return self.at(codes, self.naive_columns(codes, origins, columns))

    def naive_columns(self, codes: np.ndarray, origins: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Where the seasonal naive forecast of each row stands."""
        ahead = np.maximum(columns - origins, 1)
        seasons = np.ceil(ahead / self.season).astype(np.int64)
        ago = columns - seasons * self.season
        ago = np.where(np.isfinite(self.at(codes, ago)), ago, origins)
        return np.where(np.isfinite(self.at(codes, ago)), ago, self.first[codes])

    def pooled(self, columns: np.ndarray) -> np.ndarray:
        """The mean over all series of their seasonal naive forecasts: what is told of a series never seen."""
        everyone = np.arange(len(self.values))
        wanted, back = np.unique(columns, return_inverse=True)
        each = [
            self.naive(everyone, self.origins(everyone, np.full(len(everyone), c)), everyone * 0 + c).mean()
            for c in wanted
        ]
        return np.asarray(np.asarray(each)[back])

    def origins(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The latest column that each row's forecast may know: a step before it, or the series' last."""
        return np.asarray(np.minimum(columns - 1, self.last[codes]))

    def save(self, folder: Path) -> None:
        card = {name: getattr(self, name) for name in ("labels", "start", "season", "time", "series")}
        card |= {"calendar": asdict(self.calendar), "shape": self.values.shape, "planned": self.planned.to_json()}
        (folder / CARD).write_text(json.dumps(card, ensure_ascii=False), encoding="utf-8")
        codes, columns = np.nonzero(np.isfinite(self.values))
        table = {
            "series": codes,
            "step": columns,
            "value": self.values[codes, columns],
            "seen": self.seen[codes, columns],
        }
        plans = self.plans_at(codes, columns)
        table |= {f"plan_{place}": plans[:, place] for place in range(plans.shape[1])}
        pd.DataFrame(table).to_parquet(folder / VALUES, index=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        table = pd.read_parquet(folder / VALUES)
        values = np.full(card.pop("shape"), np.nan)
        seen = np.zeros(values.shape, dtype=bool)
        values[table["series"], table["step"]] = table["value"]
        seen[table["series"], table["step"]] = table["seen"]
        calendar, labels = Calendar(**card.pop("calendar")), tuple(card.pop("labels"))
        planned, plans = Planned.from_json(card.pop("planned", [])), None
        if planned.columns:
            plans = np.full((*values.shape, len(planned.names)), np.nan)
            told = table[[f"plan_{place}" for place in range(plans.shape[2])]].to_numpy()
            plans[table["series"], table["step"]] = told
        return cls(calendar=calendar, labels=labels, values=values, seen=seen, planned=planned, plans=plans, **card)
