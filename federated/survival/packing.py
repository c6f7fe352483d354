"""A Cox model's sums: what a silo answers each question with, and that as one vector of numbers; and back."""

import math

import numpy as np

from cluster.wire import Arrays
from federated.linear.packing import half, triangle, whole

REACH = 2.0**16  # of a sum over a silo's rows, for each row of the largest silo: columns are scaled
SYMMETRIC = frozenset({"hessian", "square"})
Shapes = dict[str, tuple[int, ...]]


def shapes_of(kind: str, width: int, times: int) -> Shapes:
    """Of the answer to a question. times: of a common baseline."""
    square = (width, width)
    answers: dict[str, Shapes] = {
        "curve": {"loss": (1,), "gradient": (width,), "hessian": square},
        "risk": {"s0": (times,), "s1": (times, width), "deaths": (times,), "own": (width,)},
        "square": {"square": square},
        "rank": {"pairs": (3,), "events": (1,)},
    }
    return answers[kind]


def length_of(shapes: Shapes) -> int:
    return sum(half(shape[0]) if name in SYMMETRIC else math.prod(shape) for name, shape in shapes.items())


def pack(sums: Arrays) -> np.ndarray:
    """Symmetric matrices without what they say twice."""
    return np.concatenate([triangle(part) if name in SYMMETRIC else part.ravel() for name, part in sums.items()])


def unpack(vector: np.ndarray, shapes: Shapes) -> Arrays:
    """The same, in the order of the shapes."""
    told: Arrays = {}
    for name, shape in shapes.items():
        length = length_of({name: shape})
        part, vector = vector[:length], vector[length:]
        told[name] = whole(part, shape[0]) if name in SYMMETRIC else part.reshape(shape)
    return told
