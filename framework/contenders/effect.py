"""How much what is planned moves a series: a regression whose part is taken out of the past and put back ahead."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from framework.contenders.history import History

FILE = "effect.npz"
LEAST = 20  # differences that an effect is learned from
BLOCKS = 4  # of time, each told by what was learned from the others
SURE = 1.5  # standard errors by which a column must lessen the mean absolute difference
OWN = 30.0  # differences of a series of its own that weigh as much as those of all
RIDGE = 1.0  # of standardised differences


@dataclass(frozen=True)
class Effect:
    """Series s at step t is moved by scale_s Σ_j slope_sj (plan_stj - mean_j).

    scale: each series' seasonal naive error. slopes: shape (series, planned names), 0 where nothing was found.
    """

    mean: np.ndarray = field(repr=False)
    scale: np.ndarray = field(repr=False)
    slopes: np.ndarray = field(repr=False)

    @classmethod
    def learn(cls, history: History) -> Self:
        """By ridge regression of seasonal differences of the values on those of the plans, so that season and level
        fall out; each series' slopes are drawn towards those of all.

        A column by which differences that were not learned from are not told better has no effect.
        """
        count = len(history.planned.names)
        none = np.zeros((len(history.values), count))
        if history.plans is None:
            return cls(np.zeros(count), history.error, none)
        codes, columns, moved, planned = _differences(history)
        there = np.isfinite(history.plans)
        means = np.where(there, history.plans, 0.0).sum(axis=(0, 1)) / np.maximum(there.sum(axis=(0, 1)), 1)
        begun = cls(means, history.error, none)
        if len(codes) < LEAST:
            return begun
        kept = _kept(codes, columns, moved, planned)
        slopes = none.copy()
        if kept:
            slopes[:, kept] = _slopes(codes, moved, planned[:, kept], len(none))
        return replace(begun, slopes=slopes)

    def at(self, codes: np.ndarray, plans: np.ndarray) -> np.ndarray:
        """What the plans add, shape (rows,). codes: -1, a series that is not known, is moved by nothing."""
        known = np.maximum(codes, 0)
        apart = np.nan_to_num(plans - self.mean)
        return np.where(codes >= 0, self.scale[known] * (apart * self.slopes[known]).sum(axis=1), 0.0)

    def without(self, history: History) -> History:
        """The history as it would have been without the effect."""
        if not self.slopes.any():
            return history
        codes, columns = np.nonzero(np.isfinite(history.values))
        values = history.values.copy()
        values[codes, columns] -= self.at(codes, history.plans_at(codes, columns))
        return replace(history, values=values)

    def save(self, folder: Path) -> None:
        np.savez(folder / FILE, mean=self.mean, scale=self.scale, slopes=self.slopes)

    @classmethod
    def load(cls, folder: Path) -> Self:
        with np.load(folder / FILE, allow_pickle=False) as parts:
            return cls(parts["mean"], parts["scale"], parts["slopes"])


def _differences(history: History) -> tuple[np.ndarray, ...]:
    """Series, columns, and how values (in units of their series' error) and plans differ from a season before, shape
    (rows,), (rows,), (rows,) and (rows, planned names)."""
    width = history.values.shape[1]
    lag = history.season if 3 * history.season <= width else 1
    codes, columns = np.nonzero(history.seen[:, lag:] & history.seen[:, :-lag])
    columns = columns + lag
    planned = history.plans_at(codes, columns) - history.plans_at(codes, columns - lag)
    moved = (history.at(codes, columns) - history.at(codes, columns - lag)) / history.error[codes]
    return codes, columns, moved - moved.mean() if len(moved) else moved, np.nan_to_num(planned)


def _kept(codes: np.ndarray, columns: np.ndarray, moved: np.ndarray, planned: np.ndarray) -> list[int]:
    """The columns of the plans, each taken where with it the differences in which it changed are told better."""
    blocks = np.searchsorted(np.quantile(columns, np.arange(1, BLOCKS) / BLOCKS), columns)
    kept: list[int] = []
    left = np.abs(moved)
    for column in range(planned.shape[1]):
        tried, found = planned[:, [*kept, column]], np.empty(len(moved))
        for block in range(BLOCKS):
            held = blocks == block
            slopes = _slopes(codes[~held], moved[~held], tried[~held], int(codes.max()) + 1)
            found[held] = np.abs(moved[held] - (tried[held] * slopes[codes[held]]).sum(axis=1))
        gain = (left - found)[tried[:, -1] != 0]
        if len(gain) and gain.mean() > SURE * gain.std() / np.sqrt(len(gain)):
            kept, left = [*kept, column], found
    return kept


def _slopes(codes: np.ndarray, moved: np.ndarray, planned: np.ndarray, series: int) -> np.ndarray:
    """Shape (series, planned names)."""
    size = np.sqrt((planned**2).mean(axis=0))
    told = planned / np.where(size > 0, size, 1.0)
    unit = np.eye(told.shape[1])
    common = np.linalg.solve(told.T @ told + RIDGE * unit, told.T @ moved)
    slopes = np.tile(common, (series, 1))
    for code in np.unique(codes) if series > 1 else []:
        own = told[codes == code]
        left = moved[codes == code] - own @ common
        slopes[code] += np.linalg.solve(own.T @ own + OWN * unit, own.T @ left)
    return slopes / np.where(size > 0, size, 1.0)
