"""What XGBoost may tell other silos in a session whose sums are masked: the list of it, and nothing else.

XGBoost 3.2.0 adds up rows, weights, gradients by node and bin, errors, and quantiles of residuals. Beside these sums it
compares the number of columns and of leaves, which all silos know, and the first silo hands on the seed that columns
are drawn by and the settings of the model, which follow from the job and from sums.
"""

import numpy as np

from cluster.user_error import UserError
from federated.trees.session import SUM, TYPES, Call

MAXIMUM = 0
WIDTH, LEAVES = 10, 11  # the types of the two numbers that are compared: uint32 and uint64
SEED = 4  # bytes
SETTINGS = frozenset({"base_score", "boost_from_average", "num_class", "num_feature", "num_target"})
FIRST = 5  # collectives, among which settings may be
TEXT = 24  # characters that a number takes in the settings, with what parts it from the next


class CrossingError(UserError):
    """What a silo was about to tell in a session, and does not."""


def is_sum(call: Call, *, width: int, leaves: int, outputs: int) -> bool:
    """Whether it is a sum, to be masked; else it may pass as it is.

    width: columns; leaves: of a tree, at most; outputs: base scores of the model. Raises CrossingError for what is
    neither.
    """
    if call.kind == "Allreduce" and call.extra in TYPES and len(call.data) % TYPES[call.extra].itemsize == 0:
        if call.operation == SUM:
            return True
        values = np.frombuffer(call.data, dtype=TYPES[call.extra])
        if call.operation == MAXIMUM and len(values) == 1:
            if call.extra == WIDTH and int(values[0]) == width:
                return False
            if call.extra == LEAVES and int(values[0]) <= leaves:
                return False
    if call.kind == "Broadcast" and call.extra == 0:
        small = len(call.data) == (SEED if call.rank == 0 else 0)
        if small or (call.rank == 0 and call.number < FIRST and _settings(call.data, outputs)):
            return False
    raise CrossingError(
        f"XGBoost was about to tell {call.kind} {call.operation} of type {call.extra}, {len(call.data)} bytes, which "
        f"cannot be masked. Is this another version of XGBoost than 3.2? Ask with secure=False, or take that one."
    )


def _settings(data: bytes, outputs: int) -> bool:
    """Whether these are a model's settings and no more: an object of UBJSON with short texts by those names."""
    place, names = 1, set()
    if data[:1] != b"{":
        return False
    while data[place : place + 1] == b"L":
        name, place = _text(data, place)
        if data[place : place + 1] != b"S":
            return False
        value, place = _text(data, place + 1)
        if len(value) > TEXT * (outputs if name == b"base_score" else 1):
            return False
        names.add(name.decode("ascii", "replace"))
    return data[place:] == b"}" and names == SETTINGS


def _text(data: bytes, place: int) -> tuple[bytes, int]:
    """What stands behind its length there, and where it ends."""
    begin = place + 1 + 8
    end = begin + int.from_bytes(data[place + 1 : begin], "big")
    return data[begin:end], end
