"""A linear model's sums as one vector of numbers of which none is large, to be summed under masks; and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from cluster.wire import Arrays
from framework.contenders.target import Target

REACH = 2.0**16  # of a sum over a silo's rows, for each row of the largest silo: columns are scaled, and so are answers


@dataclass(frozen=True)
class Units:
    """How answers y are told: as (y - shift) / scale, and as log y - log."""

    shift: float = 0.0
    scale: float = 1.0
    log: float = 0.0

    @classmethod
    def of(cls, target: Target) -> Self:
        """As silos have agreed that a quantity is standardised."""
        return cls(target.shift, target.scale, float(np.log(target.shift)) if target.shift > 0 else 0.0)

    def told(self, y: np.ndarray) -> np.ndarray:
        """Both, shape (rows, 2); nan for logarithms where one of the answers has none."""
        logs = np.log(y) - self.log if (y > 0).all() else np.full(len(y), np.nan)
        return np.column_stack([(y - self.shift) / self.scale, logs])

    def back(self, sums: Arrays) -> Arrays:
        """`Moments` with the squares of answers, as they are of y and log y themselves."""
        shifts, scales = np.array([self.shift, self.log]), np.array([self.scale, 1.0])
        ones = sums["gram"][0]  # Σ w x: the first column is that of the ones
        square = scales**2 * sums["square"] + 2 * scales * shifts * sums["cross"][0] + shifts**2 * sums["weight"]
        return {**sums, "cross": scales * sums["cross"] + np.outer(ones, shifts), "square": square}


def moments_length(width: int) -> int:
    return half(width) + 2 * width + 4


def pack_moments(sums: Arrays) -> np.ndarray:
    """gram (width, width), cross (width, 2), square (2,) and weight (1,) as shape (`moments_length`,)."""
    without = float(not np.isfinite(sums["square"][1]))  # answers without logarithms
    cross, square = np.nan_to_num(sums["cross"]), np.nan_to_num(sums["square"])
    return np.concatenate([triangle(sums["gram"]), cross.ravel(), square, sums["weight"], [without]])


def unpack_moments(vector: np.ndarray, width: int) -> Arrays:
    """The same; nan for logarithms where a silo has answers without."""
    gram, rest = whole(vector, width), vector[half(width) :]
    cross, square = rest[: 2 * width].reshape(width, 2).copy(), rest[2 * width : 2 * width + 2].copy()
    if rest[-1] > 0.5:
        cross[:, 1], square[1] = np.nan, np.nan
    return {"gram": gram, "cross": cross, "square": square, "weight": rest[-2:-1]}


def curves_length(width: int, models: int) -> int:
    return models * (1 + width + half(width))


def pack_curves(curves: Mapping[str, Arrays]) -> np.ndarray:
    """loss (1,), gradient (width,) and hessian (width, width) of each model; the losses of all come first."""
    parts = [np.concatenate([each["gradient"], triangle(each["hessian"])]) for each in curves.values()]
    return np.concatenate([*(each["loss"] for each in curves.values()), *parts])


def unpack_curves(vector: np.ndarray, width: int, names: Sequence[str]) -> dict[str, Arrays]:
    rest = vector[len(names) :].reshape(len(names), -1)
    return {
        name: {"loss": vector[n : n + 1], "gradient": part[:width], "hessian": whole(part[width:], width)}
        for n, (name, part) in enumerate(zip(names, rest, strict=True))
    }


def half(width: int) -> int:
    return width * (width + 1) // 2


def triangle(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix without what it says twice."""
    return np.asarray(matrix[np.triu_indices(len(matrix))])


def whole(vector: np.ndarray, width: int) -> np.ndarray:
    """The whole of it, from a vector that begins with its triangle."""
    matrix = np.zeros((width, width))
    matrix[np.triu_indices(width)] = vector[: half(width)]
    return matrix + np.triu(matrix, 1).T
