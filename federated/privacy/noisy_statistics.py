"""What silos agree of the columns when each row is to stay hidden: noisy histograms, and what follows from them.

A silo calls `named` and `counted`; a coordinator joins what they return and looks closer, pass by pass. Everything that
a silo tells is a sum to which a row adds at most 1 in each column, so that its sensitivity is √columns, and noise with
a standard deviation of noise · √columns is the Gaussian mechanism (Dwork, Roth 2014, Appendix A).
"""

from collections.abc import Mapping

import numpy as np

from federated.statistics import Moments

SMALLEST, LARGEST = -16, 40  # powers of two between which values are told apart in the first pass
CELLS = 32  # of a closer look
UNLIKELY = 1e-4  # the chance that noise alone is taken for values, in a column and pass


def named(
    columns: Mapping[str, np.ndarray], *, noise: float, delta: float, draw: np.random.Generator
) -> dict[str, dict[str, int]]:
    """Category → about how many rows have it, in each column; those that too few have for their noise are not named.

    A category that a single row has is named with a chance of at most δ / columns: δ comes on top of what noise costs
    (stability-based histograms: Bun, Nissim, Stemmer 2019, section 3). columns: of texts, None where missing.
    """
    from scipy.stats import norm

    spread = noise * np.sqrt(len(columns))
    least = 1 + spread * norm.isf(delta / max(1, len(columns)))
    told: dict[str, dict[str, int]] = {}
    for name in sorted(columns):
        values, times = np.unique([value for value in columns[name] if value is not None], return_counts=True)
        about = times + draw.normal(0.0, spread, len(times))
        told[name] = {str(v): round(float(n)) for v, n in zip(values, about, strict=True) if n >= least}
    return told


def counted(
    matrix: np.ndarray, edges: np.ndarray, *, measured: int, noise: float, draw: np.random.Generator
) -> np.ndarray:
    """About how many values of each column lie in each cell, float64, shape (columns, cells).

    matrix: shape (rows, columns), nan where a value is missing; edges: shape (columns, cells + 1), rising; values
    beyond them count in the outermost cells. measured: how many of the columns may hold values at all.
    """
    cells = edges.shape[1] - 1
    counts = np.zeros((matrix.shape[1], cells))
    for place, column in enumerate(matrix.T):
        values = column[np.isfinite(column)]
        inside = np.clip(np.searchsorted(edges[place], values, side="right") - 1, 0, cells - 1)
        counts[place] = np.bincount(inside, minlength=cells)
    return np.asarray(counts + draw.normal(0.0, noise * np.sqrt(measured), counts.shape))


def first_edges(columns: int) -> np.ndarray:
    """Cells that fit any column, known to everybody: powers of two, both signs."""
    powers = 2.0 ** np.arange(SMALLEST, LARGEST + 1)
    return np.tile(np.concatenate([-powers[::-1], powers]), (columns, 1))


def closer(counts: np.ndarray, edges: np.ndarray, spread: float) -> tuple[np.ndarray, list[int]]:
    """The edges of `CELLS` equal cells about where the values are, with a cell's room on either side, and the columns
    of which nothing rises above the noise; these have cells between 0 and 1.

    counts: of all silos together; spread: the standard deviation of their noise.
    """
    from scipy.stats import norm

    least = spread * norm.isf(UNLIKELY / counts.shape[1])
    made, drowned = [], []
    for place, row in enumerate(counts):
        filled = np.flatnonzero(row > max(least, 0.5))
        if not len(filled):
            drowned.append(place)
            made.append(np.linspace(0.0, 1.0, CELLS + 1))
            continue
        low, high = edges[place, filled[0]], edges[place, filled[-1] + 1]
        room = (high - low) / (CELLS - 2)
        made.append(np.linspace(low - room, high + room, CELLS + 1))
    return np.stack(made), drowned


def cleaned(counts: np.ndarray, spread: float, drowned: list[int]) -> np.ndarray:
    """The counts without what is likely to be noise alone, none below 0; all 0 in columns that drowned."""
    kept = np.where(counts > spread, counts, 0.0)
    kept[drowned] = 0.0
    return np.asarray(kept)


def moments_from(counts: np.ndarray, edges: np.ndarray) -> Moments:
    """Of values taken to lie in the middle of their cells."""
    middle = (edges[:, 1:] + edges[:, :-1]) / 2
    total = counts.sum(axis=1)
    mean = (counts * middle).sum(axis=1) / np.maximum(total, 1)
    square = (counts * (middle - mean[:, None]) ** 2).sum(axis=1)
    return Moments(total, np.zeros_like(total), mean, square)
