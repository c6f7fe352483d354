"""How far a shadow's answers agree with those that were given."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Agreement:
    """rows: answered by both. same: of them, with the same prediction, of numbers to nine digits.

    apart: the sum of the absolute differences: of numbers in the target's units, of classes the largest difference
    between two probabilities of one class.
    """

    rows: int = 0
    same: int = 0
    apart: float = 0.0

    def count(self, given: Sequence[Mapping[str, Any]], shadowed: Sequence[Mapping[str, Any]]) -> None:
        """The answers to the same rows."""
        for one, other in zip(given, shadowed, strict=True):
            self.rows += 1
            self.same += _same(one["prediction"], other["prediction"])
            self.apart += _apart(one, other)

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.rows + other.rows, self.same + other.same, self.apart + other.apart)

    def told(self) -> dict[str, float | int | None]:
        """As the HTTP interface says it: the share of the same answers, and the mean difference."""
        same, apart = (self.same / self.rows, self.apart / self.rows) if self.rows else (None, None)
        return {"rows": self.rows, "same": same, "difference": apart}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    shares = one.get("probabilities")
    if shares is None:
        return abs(float(one["prediction"]) - float(other["prediction"]))
    return max(abs(float(share) - float(other["probabilities"][label])) for label, share in shares.items())
