"""What crosses a silo's boundary, either way: one typed message as bytes, and the list of what may leave."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from cluster.wire import Arrays, Facts, WireError

MAGIC = b"silo1\n"
MOST_SUMS = 64  # models that a silo's sums are told for at once
KINDS = "fiub"  # numbers and booleans; text travels as facts, where each is named

# Message kind → the facts and the groups of arrays that it may carry out of a silo. Nothing else leaves.
LEAVING: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "described": (frozenset({"columns", "labels", "classified"}), frozenset()),
    "joined": (frozenset({"rows"}), frozenset()),
    "categories": (frozenset({"counts", "others"}), frozenset()),
    "moments": (frozenset(), frozenset({"moments"})),
    "histograms": (frozenset(), frozenset({"histograms"})),
    "ready": (frozenset(), frozenset()),
    "update": (
        frozenset({"rows", "steps", "cluster", "valid_loss", "valid_rows"}),
        frozenset({"delta", "control"}),
    ),
    "summed": (frozenset(), frozenset(map(str, range(MOST_SUMS)))),
    "judged": (frozenset(), frozenset({"losses"})),
    "score": (frozenset({"valid_loss", "valid_rows"}), frozenset()),
    "personal": (frozenset({"part", "epochs"}), frozenset({"weights"})),
    "advert": (frozenset(), frozenset({"keys"})),
    "sealed": (frozenset(), frozenset({"sealed"})),
    "masked": (frozenset(), frozenset({"masked"})),
    "consent": (frozenset(), frozenset({"consent"})),
    "unmasked": (frozenset(), frozenset({"seeds", "keys"})),
    "withdrawn": (frozenset({"reason"}), frozenset()),
    "enrolled": (frozenset({"certificate", "watches"}), frozenset({"keys"})),
    "grown": (frozenset({"sha256", "scores", "masked"}), frozenset({"booster"})),
    "broken": (frozenset(), frozenset()),
    "bagged": (frozenset({"rows", "rounds"}), frozenset({"booster"})),
    "synthetic": (frozenset({"rows", "engine", "licence", "leaks", "epsilon"}), frozenset({"table"})),
    # Between the parties of `federated.vertical`; what the target's owner says leaves it too.
    "meet": (frozenset(), frozenset({"psi"})),
    "met": (frozenset(), frozenset({"psi"})),
    "match": (frozenset(), frozenset({"psi"})),
    "matched": (frozenset({"common"}), frozenset()),
    "prepare": (frozenset({"job"}), frozenset({"places"})),
    "prepared": (frozenset(), frozenset()),
    "embed": (frozenset({"learning"}), frozenset({"places"})),
    "embedding": (frozenset(), frozenset({"embedding"})),  # a function of single rows' columns, row by row
    "descend": (frozenset(), frozenset({"gradient"})),  # of single rows' losses: tells of their answers
    "keep": (frozenset(), frozenset()),
    "restore": (frozenset(), frozenset()),
    "disclose": (frozenset(), frozenset()),
    "bottom": (frozenset(), frozenset({"weights"})),
    "refusal": (frozenset({"reason"}), frozenset()),
    "failure": (frozenset({"type"}), frozenset()),
}

# Steps of secure aggregation → the dtypes that its arrays may have, and their most elements; None: the model's and 3.
SUMS: dict[str, tuple[str, int | None]] = {
    "advert": ("u1", 64),  # public keys and a signature
    "sealed": ("u1", 92),  # two encrypted shares
    "masked": ("u4u8", None),
    "consent": ("u1", 64),
    "unmasked": ("u1", 32),  # a share
}
BOUNDED = {**SUMS, "enrolled": SUMS["advert"]}  # by which silos begin a session of trees
# What tells of one silo, and leaves none whose job is secure; moments and histograms where noise covers them.
OPEN = frozenset({"update", "score", "personal", "moments", "histograms", "summed", "judged"})


class BoundaryError(RuntimeError):
    """A message that holds what its kind may not carry out of a silo."""


@dataclass(frozen=True)
class Message:
    """groups: named sets of named arrays, such as "delta" → layer name → array. facts: what JSON holds.

    silo: who speaks; empty in what a coordinator says to all.
    """

    kind: str
    silo: str = ""
    round: int = 0
    facts: Facts = field(default_factory=dict)
    groups: dict[str, Arrays] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """A JSON line of what follows (dtype and shape of every array), then the arrays' own bytes, little-endian.

        The same message is the same bytes. Raises WireError naming an array that does not hold numbers.
        """
        listed, parts = [], []
        for group, arrays in self.groups.items():
            for name, values in arrays.items():
                array = np.asarray(values)
                if array.dtype.kind not in KINDS:
                    raise WireError(f"array {name!r} of {group!r} has dtype {array.dtype}; only numbers cross.")
                if array.dtype.str[0] == ">":
                    array = array.astype(array.dtype.newbyteorder("<"))
                listed.append([group, name, array.dtype.str, list(array.shape)])
                parts.append(array.tobytes())
        head = {"kind": self.kind, "silo": self.silo, "round": self.round, "facts": self.facts, "arrays": listed}
        head["groups"] = list(self.groups)
        return b"".join([MAGIC, json.dumps(head).encode(), b"\n", *parts])

    def write(self, path: Path) -> None:
        """As a file: all of it, or what stood there before."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(self.to_bytes())
        os.replace(part, path)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ValueError for bytes that are cut short, too many, or no message."""
        if not data.startswith(MAGIC):
            raise ValueError(f"these {len(data)} bytes are no message of a silo")
        end = data.find(b"\n", len(MAGIC))
        head = json.loads(data[len(MAGIC) : end if end > 0 else len(data)])
        groups: dict[str, Arrays] = {group: {} for group in head["groups"]}
        place = end + 1
        for group, name, dtype, shape in head["arrays"]:
            kind = np.dtype(dtype)
            if kind.kind not in KINDS:
                raise ValueError(f"array {name!r} of {group!r} has dtype {dtype}; only numbers cross")
            size = math.prod(shape) * kind.itemsize
            if min(shape, default=0) < 0 or place + size > len(data):
                raise ValueError(f"the message is cut short in array {name!r} of {group!r}")
            groups[group][name] = np.frombuffer(data, dtype=kind, count=math.prod(shape), offset=place).reshape(shape)
            place += size
        if place != len(data):
            raise ValueError(f"{len(data) - place} bytes follow the message")
        return cls(head["kind"], head["silo"], head["round"], head["facts"], groups)

    def check_leaving(self, shapes: Mapping[str, tuple[int, ...]] | None = None, *, secure: bool = False) -> None:
        """Raises BoundaryError unless all of it is on the list of what may leave a silo.

        shapes: of the model's arrays; what leaves as weights or as a step of them has these shapes, so that no array
        can hold rows. secure: nothing that tells of this silo alone may leave it in a round, but masked.
        """
        if self.kind not in LEAVING:
            raise BoundaryError(f"a message of kind {self.kind!r} may not leave silo {self.silo!r}")
        facts, groups = LEAVING[self.kind]
        if strange := [*(set(self.facts) - facts), *(set(self.groups) - groups)]:
            raise BoundaryError(f"{sorted(strange)} may not leave silo {self.silo!r} in a message {self.kind!r}")
        if secure and self.kind in OPEN:
            raise BoundaryError(f"a message of kind {self.kind!r} may not leave silo {self.silo!r}: its job is secure")
        if self.kind in BOUNDED:
            self._check_sum(shapes)
        if self.kind not in ("update", "personal", "summed"):
            return
        for group, arrays in self.groups.items():
            for name, array in arrays.items():
                if shapes is None or shapes.get(name) != array.shape:
                    raise BoundaryError(
                        f"array {name!r} of {group!r} has shape {array.shape}, which is no part of the model; it may "
                        f"not leave silo {self.silo!r}"
                    )

    def _check_sum(self, shapes: Mapping[str, tuple[int, ...]] | None) -> None:
        dtypes, most = BOUNDED[self.kind]
        if most is None:
            most = sum(math.prod(shape) for shape in (shapes or {}).values()) + 3
        for group, arrays in self.groups.items():
            for name, array in arrays.items():
                if array.dtype.str[1:] not in dtypes or array.ndim != 1 or len(array) > most:
                    raise BoundaryError(
                        f"array {name!r} of {group!r} is {array.dtype} of shape {array.shape}, which is no part of "
                        f"{self.kind!r}; it may not leave silo {self.silo!r}"
                    )
