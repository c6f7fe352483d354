"""Series taken apart and put together: level, spread, trend, season, what goes with categories, and a remainder.

The season is one profile for all series, of which each has a strength of its own.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from synthetic.codec import EXTREMES, MOST_DECIMALS, Numbers
from synthetic.series.panel import GAP, Panel

LEAST_TREND = 8  # values, from which a series has a trend of its own
FLOOR = 1e-9  # of spreads
QUANTILES = 200
SHY = 5.0  # rows of nothing that are added to those of a category
LEAST_REST = 0.1  # of a series' variance, that is left to the remainder
PARTS = ("level", "spread", "lean", "season")


@dataclass(frozen=True)
class Standard:
    """Values of each series and column with mean 0, variance 1 and no trend: shape (series, steps, columns).

    y = level + spread · (lean · line + √(1 - lean²) · rest), where `line` rises straight with mean 0 and variance 1.
    level, spread, lean: shape (series, columns), nan where a series has no value.
    """

    level: np.ndarray
    spread: np.ndarray
    lean: np.ndarray
    line: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """values: nan where missing."""
        there = ~np.isnan(values)
        count = there.sum(axis=1)
        line = np.where(there, np.arange(values.shape[1], dtype=np.float64)[None, :, None], np.nan)
        level, line = _mean(values), _unit(line - _mean(line)[:, None])
        away = values - level[:, None]
        spread = np.sqrt(_mean(away**2))
        unit = _unit(away)
        lean = np.where(count >= LEAST_TREND, np.clip(_mean(unit * line), -1, 1), np.where(count > 0, 0.0, np.nan))
        return cls(level, spread, lean, line, _unit(unit - lean[:, None] * line))

    def put(self, level: np.ndarray, spread: np.ndarray, lean: np.ndarray) -> np.ndarray:
        """The rest with another level, spread and trend: values."""
        lean = lean[:, None]
        turned = lean * np.nan_to_num(self.line) + np.sqrt(1 - lean**2) * self.rest
        return np.asarray(level[:, None] + spread[:, None] * turned)


@dataclass(frozen=True)
class Shape:
    """What all series share.

    shifts: added before the logarithm, nan where none is taken; lows, highs: ends of the values; shape (columns,).
    profile: the season, shape (slots, columns). effects: what goes with each token of each state, shapes
    (card, columns). quantiles: of the remainder, at equal shares, shape (QUANTILES + 1, columns).
    """

    shifts: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    profile: np.ndarray
    effects: tuple[np.ndarray, ...]
    quantiles: np.ndarray

    @classmethod
    def learn(cls, panel: Panel) -> tuple[Self, np.ndarray, np.ndarray, np.ndarray]:
        """The shape, the series' own parts (PARTS), shape (series, columns, 4), the normal scores of their remainders
        and the rests that they are of, both of shape (series, longest, columns)."""
        columns = len(panel.numbers)
        shifts = np.array([_shift(panel.values[:, :, at]) for at in range(columns)])
        ends = [_ends(panel.values[:, :, at]) for at in range(columns)]
        made = Standard.of(_scaled(panel.values, shifts))
        free = np.array([codec.name != GAP for codec in panel.numbers], dtype=bool)
        profile = np.zeros((int(panel.slots.max(initial=0)) + 1, columns))
        if panel.clock.slots:
            for slot in range(len(profile)):
                profile[slot] = _shy_mean(made.rest[panel.slots == slot])
        profile *= free
        season = np.where(np.isnan(made.rest), np.nan, profile[panel.slots])
        weight = np.maximum(np.nansum(season**2, axis=1), FLOOR)
        strength = np.where(np.nansum(season**2, axis=1) > FLOOR, np.nansum(made.rest * season, axis=1) / weight, 0.0)
        left = made.rest - strength[:, None] * profile[panel.slots]
        effects = []
        for at, codec in enumerate(panel.states):
            told = np.stack([_shy_mean(left[panel.tokens[:, :, at] == token]) for token in range(codec.card)]) * free
            effects.append(told)
            left = left - told[np.maximum(panel.tokens[:, :, at], 0)]
        left = _unit(left)
        scores, quantiles = np.full(left.shape, np.nan), np.zeros((QUANTILES + 1, columns))
        for at in range(columns):
            scores[:, :, at], quantiles[:, at] = _scores(left[:, :, at])
        parts = np.stack([made.level, np.log(np.maximum(made.spread, FLOOR)), made.lean, strength], axis=2)
        lows, highs = np.array(ends).reshape(columns, 2).T
        shape = cls(shifts, lows, highs, profile, tuple(effects), quantiles)
        return shape, parts, scores, made.rest

    def rest(self, scores: np.ndarray, slots: np.ndarray, tokens: np.ndarray, season: np.ndarray) -> Standard:
        """What normal scores, nan where missing, make beside the season and the states. season: shape (series,
        columns)."""
        from scipy.special import ndtr

        given = ~np.isnan(scores)
        levels = np.linspace(0, 1, QUANTILES + 1)
        remainder = np.empty(scores.shape)
        for at in range(scores.shape[2]):
            remainder[:, :, at] = np.interp(ndtr(np.nan_to_num(scores[:, :, at])), levels, self.quantiles[:, at])
        fixed = np.nan_to_num(season)[:, None] * self.profile[slots]
        for at, effect in enumerate(self.effects):
            fixed = fixed + effect[np.maximum(tokens[:, :, at], 0)]
        fixed = np.where(given, fixed, np.nan)
        fixed = fixed - _mean(fixed)[:, None]
        share = np.sqrt(np.clip(1 - _mean(fixed**2), LEAST_REST, 1))
        return Standard.of(np.where(given, fixed + share[:, None] * remainder, np.nan))

    def values(self, made: Standard, parts: np.ndarray, numbers: tuple[Numbers, ...]) -> np.ndarray:
        """Values of the columns, rounded and between their ends: shape (series, steps, columns)."""
        lean = np.clip(parts[:, :, 2], -1, 1)
        scaled = made.put(parts[:, :, 0], np.exp(parts[:, :, 1]), lean)
        with np.errstate(over="ignore"):
            raw = np.where(np.isnan(self.shifts), scaled, np.exp(np.minimum(scaled, 700)) - np.nan_to_num(self.shifts))
        raw = np.clip(raw, self.lows, self.highs)
        for at, codec in enumerate(numbers):
            if codec.decimals < MOST_DECIMALS:
                raw[:, :, at] = np.round(raw[:, :, at], codec.decimals)
        return np.asarray(raw)

    def to_arrays(self) -> dict[str, np.ndarray]:
        told: dict[str, Any] = {key: value for key, value in vars(self).items() if key != "effects"}
        return told | {f"effect_{at}": each for at, each in enumerate(self.effects)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        effects = tuple(arrays[f"effect_{at}"] for at in range(sum(key.startswith("effect_") for key in arrays)))
        names = ("shifts", "lows", "highs", "profile", "quantiles")
        return cls(**{name: arrays[name] for name in names}, effects=effects)


def _mean(values: np.ndarray) -> np.ndarray:
    """Of the steps that are there, shape (series, columns); nan where none is."""
    count = (~np.isnan(values)).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


def _unit(values: np.ndarray) -> np.ndarray:
    """Values of mean 0 over the root of their variance; 0 where there is none to speak of."""
    spread = np.sqrt(_mean(values**2))[:, None]
    return np.asarray(np.where(spread > FLOOR, values / np.maximum(spread, FLOOR), values * 0.0))


def _shy_mean(rows: np.ndarray) -> np.ndarray:
    """Means of columns, as if SHY rows of 0 were among them; shape (columns,)."""
    return np.asarray(np.nansum(rows, axis=0) / ((~np.isnan(rows)).sum(axis=0) + SHY))


def _scores(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores of values, shape (series, steps), and their quantiles."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    there = ~np.isnan(values)
    scores, found = np.full(values.shape, np.nan), values[there]
    if not len(found):
        return scores, np.zeros(QUANTILES + 1)
    scores[there] = ndtri(rankdata(found) / (len(found) + 1))
    quantiles = np.quantile(found, np.linspace(0, 1, QUANTILES + 1))
    low, high = _ends(found)
    return scores, np.clip(quantiles, low, high)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Means of the three least and of the three largest: no row's own extreme is told."""
    there = np.sort(values[~np.isnan(values)])
    return (float(there[:EXTREMES].mean()), float(there[-EXTREMES:].mean())) if len(there) else (0.0, 0.0)


def _shift(values: np.ndarray) -> float:
    """What is added before a logarithm is taken; nan where a column is less skew without one."""
    from scipy.stats import skew

    there = values[~np.isnan(values)]
    if len(there) < 3 or there.min() < 0 or there.min() == there.max():
        return float("nan")
    shift = 0.0 if there.min() > 0 else 1.0
    if shift and (there != np.floor(there)).any():
        return float("nan")
    return shift if abs(skew(np.log(there + shift))) < abs(skew(there)) else float("nan")


def _scaled(values: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(shifts), values, np.log(np.where(np.isnan(shifts), 1.0, values + np.nan_to_num(shifts))))
