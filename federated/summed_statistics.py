"""What silos tell of their columns where nobody may see a silo's own: numbers that are summed under masks.

Pure numpy. Counts in cells that fit any column say about where its values lie; moments about that place, twice, the
second time about what the first has found; then histograms as `federated.statistics` has them. Moments and histograms
are those that silos would have told in the open, to 1e-10 of a column's standard deviation.
"""

import numpy as np

from federated.statistics import Moments

POWERS = 16.0 ** np.arange(-16, 33)  # between them values are told apart at first
REACH = 2.0**16  # of Σ z and Σ z² over a silo's rows, for each row of the largest silo
POWER_SUMS = 4  # rows with a value, rows without, Σ z, Σ z²
NARROW = 1e-5  # of the scale that was looked with: a spread below it is looked at more closely, or is none


def wide_edges(columns: int) -> np.ndarray:
    """Cells that fit any column, both signs, shape (columns, cells + 1)."""
    return np.tile(np.concatenate([-POWERS[::-1], POWERS]), (columns, 1))


def place_of(counts: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The middle and half the width of the cells that hold values, shape (2, columns); 0 and 1 where none does.

    counts: of all silos together, shape (columns, cells).
    """
    told = np.tile([[0.0], [1.0]], len(counts))
    for column, row in enumerate(counts):
        filled = np.flatnonzero(row)
        if len(filled):
            low, high = edges[column, filled[0]], edges[column, filled[-1] + 1]
            told[:, column] = (low + high) / 2, (high - low) / 2
    return told


def power_sums_of(matrix: np.ndarray, place: np.ndarray, least: int = 1) -> np.ndarray:
    """Of each column the rows with a value and without one, Σ z and Σ z², shape (4, columns); z: (x - place) / scale.

    matrix: shape (rows, columns), nan where a value is missing. A column with fewer than `least` values tells nothing.
    """
    there = np.isfinite(matrix)
    z = np.where(there, (matrix - place[0]) / place[1], 0.0)
    count = there.sum(axis=0)
    told = np.stack([count, len(matrix) - count, z.sum(axis=0), (z**2).sum(axis=0)]).astype(np.float64)
    return np.where(count >= least, told, 0.0)


def moments_from(sums: np.ndarray, place: np.ndarray) -> Moments:
    """Of all rows, from what `power_sums_of` tells of them together.

    A mean is told in steps far below its spread, so that one which is a round number is that number, and values which
    equal it lie on the same side of it as in any other silo. A spread that the sums do not tell from 0 is 0.
    """
    count, missing = np.rint(sums[:2])
    held = np.maximum(count, 1)
    mean = sums[2] / held
    square = np.maximum(sums[3] - held * mean**2, 0.0)
    square = np.where(square / held < NARROW**2, 0.0, square)
    step = 2.0 ** (np.floor(np.log2(place[1])) - 34)
    mean = np.where(count > 0, np.rint((place[0] + place[1] * mean) / step) * step, 0.0)
    return Moments(count, missing, mean, square * place[1] ** 2)


def closer(moments: Moments, place: np.ndarray) -> np.ndarray:
    """Where to look next, shape (2, columns): about the mean, with the standard deviation for a scale."""
    return np.stack([moments.mean, np.maximum(moments.deviation, NARROW * place[1])])
