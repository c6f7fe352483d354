"""A column's values or range found in its rows, and paid for: by noisy counts, of which one row changes one cell."""

from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.privacy.accountant import PrivacyError
from synthetic.codec import LEVELS, MOST_DECIMALS, Categories, Codec, Numbers
from synthetic.columns import DAY
from synthetic.private.budget import deviation, noisy, onto_simplex
from synthetic.private.domain import BINS, HALF, MOST_ATOMS, grids, plain_value

LOWEST, HIGHEST = -10, 40  # powers of two that a number's size is told by; beyond these it counts as the last
PLAIN = (str, bool, int, float, np.generic)
LEAVE = "Convert it, or leave the column out."
FINE = 32  # cells that a range is looked at in
CLEAR = 4.0  # deviations of the noise, from which a cell surely holds rows


def found_codec(name: str, column: pd.Series, rho: float, delta: float, random: np.random.Generator) -> Codec:
    """The codec of a column that is not declared, by its type and by noisy counts for which ρ and δ are paid.

    Texts and other categories: those whose noisy count is so high that one of a single row passes with chance δ at most
    (Korolova et al. 2009, with Gaussian noise). Numbers and dates: their size by powers of two, then bins of about
    equal shares, of the whole range where no cell stands out; values beyond count as the ends. Raises PrivacyError
    where nothing stands out of the noise.
    """
    dtype: Any = column.dtype
    kind = "O" if isinstance(dtype, pd.CategoricalDtype) else str(getattr(dtype, "kind", "O"))
    lacking = kind in "OfM" or isinstance(dtype, pd.api.extensions.ExtensionDtype)  # whether its type can
    if kind == "b":
        return Categories(name, str(dtype), (False, True), lacking)
    if kind not in "OiufM":
        raise PrivacyError(f"column {name!r} holds {dtype}, of which no private rows are made. {LEAVE}")
    if kind in "iufM":
        return _numbers(name, column, kind, lacking, rho, random)
    return _categories(name, column, rho, delta, random)


def costs(column: pd.Series) -> bool:
    """Whether anything has to be paid to find the values: not for truth values."""
    return str(getattr(column.dtype, "kind", "O")) != "b"


def _categories(name: str, column: pd.Series, rho: float, delta: float, random: np.random.Generator) -> Categories:
    from scipy.special import ndtri

    dtype: Any = column.dtype
    if odd := [each for each in column.dropna() if not isinstance(each, PLAIN)]:
        raise PrivacyError(f"column {name!r} holds {type(odd[0]).__name__}, not texts, numbers or truths. {LEAVE}")
    counts = pd.Series(plain(column).astype(object)).dropna().map(plain_value).value_counts()
    bar = 1 - deviation(rho) * ndtri(delta)
    noise = random.normal(0.0, deviation(rho), len(counts))
    kept = [value for value, count in zip(counts.index, counts.to_numpy() + noise, strict=True) if count > bar]
    if not kept:
        raise PrivacyError(
            f"column {name!r}: no value stands out of the noise (about {bar:,.0f} rows would). Declare its "
            f"values in the domain, leave it out (--without {name}), or allow a larger ε."
        )
    kept.sort(key=lambda value: (str(type(value)), value))
    if isinstance(dtype, pd.CategoricalDtype):
        return Categories(name, "category", tuple(kept), True, tuple(kept), bool(dtype.ordered))
    return Categories(name, str(dtype), tuple(kept), True)


def _numbers(
    name: str, column: pd.Series, kind: str, lacking: bool, rho: float, random: np.random.Generator
) -> Numbers:
    unit = DAY if kind == "M" else 0
    codec = Numbers(name, str(column.dtype), np.empty(0), np.empty((0, LEVELS + 1)), unit=unit)
    values = codec.numbers(column)
    values = values[np.isfinite(values)]
    whole = kind in "iuM"
    least, most = _range(name, values, rho / 2, random)
    if whole:
        values, least, most = np.floor(values) if unit else values, np.floor(least), np.ceil(most)
    cells = min(FINE, int(most - least) + 1) if whole else FINE
    edges = np.linspace(least - HALF * whole, most + HALF * whole, cells + 1)
    counts = noisy(np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0], rho / 2, random)
    clear = np.flatnonzero(counts > CLEAR * deviation(rho / 2))
    held = slice(int(clear[0]), int(clear[-1]) + 1) if len(clear) else slice(0, cells)
    edges, counts = edges[held.start : held.stop + 1], counts[held]
    if whole and edges[-1] - edges[0] <= MOST_ATOMS:
        return Numbers(
            name, str(column.dtype), np.arange(np.ceil(edges[0]), np.floor(edges[-1]) + 1), grids(np.empty(0)), 0,
            lacking, unit,
        )  # fmt: skip
    mass = onto_simplex(counts, max(1.0, float(counts.sum()))).cumsum()
    cuts = np.searchsorted(mass, mass[-1] * np.arange(1, BINS) / BINS)
    edges = edges[np.unique([0, *(cuts + 1), len(edges) - 1])]
    return Numbers(
        name, str(column.dtype), np.empty(0), grids(edges), 0 if whole else MOST_DECIMALS, lacking, unit
    )  # fmt: skip


def _range(name: str, values: np.ndarray, rho: float, random: np.random.Generator) -> tuple[float, float]:
    """Between which powers of two, with their signs, the numbers lie that stand out of the noise."""
    sizes = HIGHEST - LOWEST + 1
    with np.errstate(divide="ignore"):
        size = np.clip(np.floor(np.log2(np.abs(values))), LOWEST - 1, HIGHEST) - LOWEST + 1
    code = (np.sign(values) * size).astype(np.int64)
    counts = noisy(np.bincount(code + sizes, minlength=2 * sizes + 1), rho, random)
    clear = np.flatnonzero(counts > CLEAR * deviation(rho)) - sizes
    if not len(clear):
        raise PrivacyError(
            f"column {name!r}: no range stands out of the noise. Declare least and most in the domain, leave it out "
            f"(--without {name}), or allow a larger ε."
        )
    ends = [_ends(int(each)) for each in (clear[0], clear[-1])]
    return ends[0][0], max(ends[1][1], ends[0][0] + 2.0**LOWEST)


def _ends(code: int) -> tuple[float, float]:
    if not code:
        return 0.0, 0.0
    low, high = 2.0 ** (LOWEST + abs(code) - 1), 2.0 ** (LOWEST + abs(code))
    return (low, high) if code > 0 else (-high, -low)
