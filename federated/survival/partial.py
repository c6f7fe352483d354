"""The partial likelihood as sums over rows, with Breslow's way with ties. Pure numpy, no silo's rows beside its own.

Cox 1972; Breslow 1974. Rows are told the moments m_1 < m_2 < … of a stratum by how many of them they lived to see:
`seen`, shape (rows,); a row is at risk at moment k where seen > k (from 0), and its event, if any, is at seen - 1.
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np

from cluster.wire import Arrays


@dataclass(frozen=True)
class AtRisk:
    """Sums over the rows at risk at each moment: S0 = Σ exp(xᵀβ), shape (moments,), and S1 = Σ exp(xᵀβ) x, shape
    (moments, width); how many events each has, shape (moments,), and Σ x over all events, shape (width,)."""

    s0: np.ndarray
    s1: np.ndarray
    deaths: np.ndarray
    own: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, seen: np.ndarray, event: np.ndarray, beta: np.ndarray, moments: int) -> "AtRisk":
        """x: shape (rows, width). seen, event (0 or 1): shape (rows,)."""
        with np.errstate(over="ignore"):  # a step too far: its loss is no number, and it is halved
            weight = np.exp(x @ beta)
        by_last = np.zeros((moments + 1, 1 + x.shape[1]))
        np.add.at(by_last, seen, np.column_stack([weight, x * weight[:, None]]))
        sums = np.cumsum(by_last[::-1], axis=0)[::-1][1:]  # of the rows that saw this moment or more
        deaths = np.bincount(seen[event > 0] - 1, minlength=moments).astype(np.float64)
        return cls(sums[:, 0], sums[:, 1:], deaths, x[event > 0].sum(axis=0))

    @property
    def hazard(self) -> np.ndarray:
        """d / S0, Breslow's jumps of the baseline; 0 where nothing happened."""
        return np.asarray(np.where(self.deaths > 0, self.deaths / np.where(self.s0 > 0, self.s0, 1.0), 0.0))

    @property
    def means(self) -> np.ndarray:
        """S1 / S0 at each moment, shape (moments, width)."""
        return np.asarray(self.s1 / np.where(self.s0 > 0, self.s0, 1.0)[:, None])

    def loss(self, beta: np.ndarray) -> float:
        """-Σ_events xᵀβ + Σ d log S0: minus the log partial likelihood."""
        there = self.deaths > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(-self.own @ beta + (self.deaths[there] * np.log(self.s0[there])).sum())

    def gradient(self) -> np.ndarray:
        """Of the loss: -Σ_events x + Σ d S1 / S0."""
        return np.asarray(-self.own + self.deaths @ self.means)

    def curvature(self, square: np.ndarray) -> np.ndarray:
        """Of the loss: Σ d (S2 / S0 - S1 S1ᵀ / S0²). square: Σ d S2 / S0, as `squares` has it."""
        return np.asarray(square - self.means.T @ (self.means * self.deaths[:, None]))

    def to_arrays(self) -> Arrays:
        return {"s0": self.s0, "s1": self.s1, "deaths": self.deaths, "own": self.own}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "AtRisk":
        return cls(arrays["s0"], arrays["s1"], arrays["deaths"], arrays["own"])


def squares(x: np.ndarray, seen: np.ndarray, beta: np.ndarray, hazard: np.ndarray) -> np.ndarray:
    """Σ_k (d_k / S0_k) S2_k = Σ_rows exp(xᵀβ) x xᵀ Σ_{k < seen} d_k / S0_k, shape (width, width).

    hazard: d / S0 of each moment: of all who share the baseline.
    """
    run = np.concatenate([[0.0], np.cumsum(hazard)])[seen]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(x.T @ (x * (np.exp(x @ beta) * run)[:, None]))


def seen_of(duration: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """How many of the moments each row lived to see. moments: rising."""
    return np.searchsorted(moments, duration, side="right")


def on_grid(
    duration: np.ndarray, event: np.ndarray, times: np.ndarray, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """`seen` and events on a grid of times: a duration is told as the first time of the grid that is not before it,
    one beyond the last as being there then, without an event.

    With least > 1, successive times at which fewer than `least` events of these rows are told are taken together,
    until there are so many, at the time of the mean of these rows' durations (microaggregation).
    """
    place = np.searchsorted(times, duration, side="left")
    event = np.where(place < len(times), event, 0.0)
    place = np.minimum(place, len(times) - 1)
    if least <= 1:
        return place + 1, event
    deaths = np.bincount(place[event > 0], minlength=len(times))
    runs, held = np.zeros(len(times), dtype=np.int64), 0
    for k in range(1, len(times)):
        held += deaths[k - 1]
        runs[k] = runs[k - 1] + (held >= least and deaths[k:].sum() >= least)
        held = held if runs[k] == runs[k - 1] else 0
    run = runs[place]
    count = np.maximum(np.bincount(run), 1)
    means = np.bincount(run, weights=np.minimum(duration, times[-1])) / count
    told = np.minimum(np.searchsorted(times, means, side="left"), len(times) - 1)
    return told[run] + 1, event


def concordance(duration: np.ndarray, event: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Pairs that tell who was first: those in which the higher score was, those with equal scores, and all of them.

    Harrell, Califf, Pryor, Lee, Rosati 1982. A pair counts where the one with the shorter duration had its event; of
    two equal durations where one had it and the other had not. Returns shape (3,).
    """
    longer: list[float] = []  # scores of those who were there longer, sorted
    won = tied = every = 0
    order = np.argsort(-duration, kind="stable")
    for now in np.split(order, np.flatnonzero(np.diff(duration[order])) + 1):
        happened = event[now] > 0
        first = score[now[happened]].tolist()
        for one in score[now[~happened]].tolist():
            insort(longer, one)
        for one in first:
            below = bisect_left(longer, one)
            won += below
            tied += bisect_right(longer, one) - below
            every += len(longer)
        for one in first:
            insort(longer, one)
    return np.array([won, tied, every], dtype=np.float64)
