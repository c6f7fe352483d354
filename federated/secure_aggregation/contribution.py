"""What a silo adds to a sum, as one vector, and what a sum of them says."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from cluster.wire import Arrays, Facts
from federated.average import flattened, norm
from federated.secure_aggregation.collector import SumError
from federated.secure_aggregation.fixed_point import TOLERANCE
from federated.secure_aggregation.rules import Rules

TAIL = 3  # rows; loss · valid rows; valid rows


@dataclass(frozen=True)
class Contribution:
    """delta: the change of the weights; none where only a score is asked. loss: over valid_rows. alike: what is summed
    with every silo counted alike, whatever rows it has."""

    delta: Arrays = field(default_factory=dict, repr=False)
    rows: float = 0.0
    loss: float = 0.0
    valid_rows: float = 0.0
    alike: Arrays = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, score: Facts, delta: Arrays | None = None, rows: float = 0.0, alike: Arrays | None = None) -> Self:
        """score: valid_loss and valid_rows, or nothing where no score is told."""
        return cls(delta or {}, rows, score.get("valid_loss", 0.0), score.get("valid_rows", 0.0), alike or {})

    def to_vector(self, rules: Rules) -> np.ndarray:
        """(w · delta by name, alike by name, w, v · loss, v), float64: w and v are rows and valid_rows, divided by the
        rules' weight.

        A loss that the sum has no room for counts as the largest that it has.
        """
        rows, valid = self.rows / rules.weight, self.valid_rows / rules.weight
        known = bool(valid) and not np.isnan(self.loss)
        score = min(valid * self.loss, rules.reach) if known else 0.0
        parts = [weight * flattened(part) for weight, part in ((rows, self.delta), (1.0, self.alike)) if part]
        return np.concatenate([*parts, [rows, score, valid if known else 0.0]])

    @classmethod
    def mean(cls, total: np.ndarray, like: Arrays, rules: Rules, *, alike: Arrays, silos: int) -> Self:
        """Of the silos that are in the sum: delta and loss averaged by their rows, rows and valid_rows summed; alike
        the plain mean.

        like, alike: the arrays that these are to look like. Raises SumError where the rows are too few for an average.
        """
        rows, score, valid = total[-TAIL:]
        if like and rows * TOLERANCE < rules.silos * 2.0**-rules.fixed_point.places:
            raise SumError(
                f"the rows of all silos weigh {rows * rules.weight:g}, too little beside {rules.weight:g} to divide by"
            )
        size = sum(array.size for array in like.values())
        delta, plain = _arrays(total[:size] / rows, like), _arrays(total[size:] / silos, alike)
        loss = float(score / valid) if valid > 0 else float("nan")
        return cls(delta, float(rows * rules.weight), loss, float(valid * rules.weight), plain)


def _arrays(vector: np.ndarray, like: Arrays) -> Arrays:
    """What `flattened` made one vector of, which may go on after it."""
    told, begin = {}, 0
    for name in sorted(like):
        told[name] = vector[begin : begin + like[name].size].reshape(like[name].shape)
        begin += like[name].size
    return told


def limited(delta: Arrays, most: float) -> Arrays:
    """delta · min(1, most / ‖delta‖₂); most 0: as it is."""
    length = norm(delta)
    return delta if not most or length <= most else {name: array * (most / length) for name, array in delta.items()}
