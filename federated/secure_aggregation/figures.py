"""Sums over a silo's rows, as it adds them to those of other silos."""

from dataclasses import dataclass, field

import numpy as np

from federated.secure_aggregation.rules import Rules


@dataclass(frozen=True)
class Figures:
    """values: float64, shape (length,), each a sum over rows.

    losses: how many of them, from the first on, are losses: one that the sum has no room for, or that is no number,
    counts as the largest that it has.
    """

    values: np.ndarray = field(repr=False)
    losses: int = 0

    def to_vector(self, rules: Rules) -> np.ndarray:
        """The same divided by the rules' weight."""
        told = self.values / rules.weight
        first = told[: self.losses]
        told[: self.losses] = np.where(np.isnan(first), rules.reach, np.minimum(first, rules.reach))
        return told
