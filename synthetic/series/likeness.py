"""How alike made series are to real ones: what a value has to do with those before it, and with those beside it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthetic.codec import Numbers
from synthetic.series.noise import autocovariance
from synthetic.series.panel import GAP, Panel

LAGS = 24
LEAST_SERIES = 6  # that are told in halves
LEAST_PAIRS = 3  # that a series' autocorrelation at a lag is told from


@dataclass(frozen=True)
class SeriesLikeness:
    """Of made series to real ones.

    lags: lag → how far the mean autocorrelation at it is off, over the columns of numbers (0 is the same, at most 2).
    cross: how far the correlations of two numbers, within series, are off, over all pairs. shapes: for each column
    1 - its distance (Kolmogorov-Smirnov, or total variation). staying: how far the share of steps at which a category
    stays what it was is off, over columns. stretch: steps of the longest stretch of a made series that stands in a real
    one, all columns but the time alike and some there; own: of the longest that two real series share.
    """

    lags: dict[int, float]
    cross: float
    shapes: dict[str, float]
    staying: float
    stretch: int
    own: int

    @property
    def autocorrelation(self) -> float:
        """Mean over all lags."""
        return float(np.mean(list(self.lags.values()))) if self.lags else 0.0

    @property
    def shape(self) -> float:
        return float(np.mean(list(self.shapes.values())))

    def __str__(self) -> str:
        shown = ", ".join(f"lag {lag} {self.lags[lag]:.3f}" for lag in (1, 12) if lag in self.lags)
        return (
            f"autocorrelation off by {self.autocorrelation:.3f} ({shown}), correlations within series by "
            f"{self.cross:.3f}; shapes {self.shape:.3f}; longest copied stretch {self.stretch} steps (real {self.own})"
        )


def series_likeness(real: pd.DataFrame, made: pd.DataFrame, *, series: str, time: str) -> SeriesLikeness:
    """How alike the made series are. Raises what `Sequences.fit` does for tables that are no series."""
    from scipy.stats import ks_2samp

    ours = Panel.learn(real, series, time)
    names = [codec.name for codec in ours.numbers if codec.name != GAP]
    values = ours.values[:, :, : len(names)]
    theirs = _padded(made, [codec for codec in ours.numbers if codec.name != GAP], series, time)
    told = [autocorrelations(each, LAGS) for each in (values, theirs)]
    off = np.abs(told[0] - told[1])
    lags = {lag: float(np.nanmean(off[lag - 1])) for lag in range(1, LAGS + 1) if not np.isnan(off[lag - 1]).all()}
    inner = [_within(each) for each in (values, theirs)]
    above = np.triu_indices(len(names), 1)
    cross = float(np.mean(np.abs(inner[0] - inner[1])[above])) if len(names) > 1 else 0.0
    shapes = {
        name: float(1 - ks_2samp(*(each[:, :, at][~np.isnan(each[:, :, at])] for each in (values, theirs))).statistic)
        for at, name in enumerate(names)
    }
    staying = []
    for codec in ours.states:
        shares = [frame[codec.name].value_counts(normalize=True) for frame in (real, made)]
        shapes[codec.name] = float(1 - shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)
        staying.append(abs(_stays(real, codec.name, series, time) - _stays(made, codec.name, series, time)))
    kept = [*names, *(codec.name for codec in ours.states)]
    hashed = [_hashed(frame, kept, series, time, seed) for seed, frame in enumerate((real, made))]
    return SeriesLikeness(
        lags, cross, shapes, float(np.mean(staying)) if staying else 0.0,
        longest_stretch(hashed[0], hashed[1]), _longest_own(hashed[0]),
    )  # fmt: skip


def halves(real: pd.DataFrame, *, series: str, time: str, seed: int = 0) -> SeriesLikeness | None:
    """How alike one half of the real series is to the other: what made ones cannot be expected to surpass by much. None
    where there are fewer than LEAST_SERIES."""
    names = np.sort(real[series].unique())
    if len(names) < LEAST_SERIES:
        return None
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    mine = real[series].isin(chosen)
    return series_likeness(real[mine], real[~mine], series=series, time=time)


def autocorrelations(values: np.ndarray, lags: int) -> np.ndarray:
    """Mean over series of each column's autocorrelation at lags 1 to `lags`, shape (lags, columns); nan where no series
    is long enough. values: shape (series, steps, columns), nan where missing."""
    told = np.full((lags, values.shape[2]), np.nan)
    away = values - np.nanmean(
        np.where(np.isnan(values).all(axis=1, keepdims=True), 0.0, values), axis=1, keepdims=True
    )
    for lag in range(1, min(lags, values.shape[1] - 1) + 1):
        products = away[:, lag:] * away[:, :-lag]
        pairs = (~np.isnan(products)).sum(axis=1)
        counts = (~np.isnan(away)).sum(axis=1)
        variance = np.nansum(away**2, axis=1) / np.maximum(counts, 1)
        there = (pairs >= LEAST_PAIRS) & (variance > 1e-18)
        each = np.nansum(products, axis=1) / np.maximum(counts, 1) / np.where(there, variance, 1.0)
        found = np.where(there, each, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        told[lag - 1] = np.where(there.any(axis=0), found, np.nan)
    return told


def longest_stretch(real: list[np.ndarray], made: list[np.ndarray]) -> int:
    """Steps of the longest stretch of a made series that stands in a real one; both: each series' steps as hashes."""
    low, high = 0, min(max(map(len, real), default=0), max(map(len, made), default=0))
    while low < high:
        middle = (low + high + 1) // 2
        if not _stretches(real, middle).isdisjoint(_stretches(made, middle)):
            low = middle
        else:
            high = middle - 1
    return low


def _longest_own(real: list[np.ndarray]) -> int:
    half = len(real) // 2
    return longest_stretch(real[:half], real[half:]) if half else 0


def _stretches(hashed: list[np.ndarray], steps: int) -> set[bytes]:
    return {each[at : at + steps].tobytes() for each in hashed for at in range(len(each) - steps + 1)}


def _ordered(frame: pd.DataFrame, series: str, time: str) -> pd.DataFrame:
    return frame.sort_values([series, time], kind="stable").reset_index(drop=True)


def _hashed(frame: pd.DataFrame, columns: list[str], series: str, time: str, seed: int) -> list[np.ndarray]:
    """For each series its steps as hashes; a step of which nothing is there is like no other."""
    ordered = _ordered(frame, series, time)
    plain = ordered[columns].astype({name: object for name in columns if ordered[name].dtype == "category"})
    hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy(copy=True)
    empty = np.flatnonzero(ordered[columns].isna().all(axis=1))
    hashes[empty] = np.random.default_rng(seed).integers(2**63, size=len(empty))
    codes = pd.factorize(ordered[series])[0]
    return np.split(hashes, np.flatnonzero(np.diff(codes)) + 1)


def _padded(frame: pd.DataFrame, numbers: list[Numbers], series: str, time: str) -> np.ndarray:
    ordered = _ordered(frame, series, time)
    codes = pd.factorize(ordered[series])[0]
    lengths = np.bincount(codes)
    step = np.arange(len(ordered)) - np.append(0, lengths.cumsum()[:-1])[codes]
    values = np.full((len(lengths), int(lengths.max()), len(numbers)), np.nan)
    for at, codec in enumerate(numbers):
        values[codes, step, at] = codec.numbers(ordered[codec.name])
    return values


def _within(values: np.ndarray) -> np.ndarray:
    """Correlations of columns, each series' own mean taken off, shape (columns, columns)."""
    count = np.maximum((~np.isnan(values)).sum(axis=1, keepdims=True), 1)
    away = values - np.nansum(values, axis=1, keepdims=True) / count
    spread = np.sqrt(np.nansum(away**2, axis=1, keepdims=True) / count)
    unit = np.where(spread > 1e-12, away / np.where(spread > 1e-12, spread, 1.0), 0.0)
    return np.asarray(autocovariance(np.where(np.isnan(values), np.nan, unit), 0)[0])


def _stays(frame: pd.DataFrame, name: str, series: str, time: str) -> float:
    ordered = _ordered(frame, series, time)
    codes = pd.factorize(ordered[name].astype(object))[0]
    same = ordered[series].to_numpy()[1:] == ordered[series].to_numpy()[:-1]
    return float((codes[1:] == codes[:-1])[same].mean()) if same.any() else 1.0
