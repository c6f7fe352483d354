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


@dataclass(frozen=True)
class Bounded:
    """As `Figures`, where a silo's may be too large for the sum, or no numbers: then it adds 1 and zeros, and else 0
    and its own. A total that begins with 0 is that of all."""

    values: np.ndarray = field(repr=False)

    def to_vector(self, rules: Rules) -> np.ndarray:
        """Shape (1 + length,)."""
        told = self.values / rules.weight
        fits = bool(np.isfinite(told).all()) and float(np.abs(told).max(initial=0.0)) <= rules.reach
        return np.concatenate([[0.0], told]) if fits else np.eye(1, 1 + len(told))[0]
