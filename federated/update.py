"""What a silo has learned in a round, as the coordinator sees it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from cluster.user_error import UserError
from cluster.wire import Arrays


class SiloError(UserError):
    """What one silo sent cannot be used; the silo is named."""


@dataclass(frozen=True)
class Update:
    """rows: that it learned from, or the sum of their weights; steps: of its optimizer.

    groups: "delta" (its weights minus those it was sent, layer name → array) and what else its strategy asks for.
    cluster: which of several models it trained.
    """

    silo: str
    rows: float
    steps: int
    groups: dict[str, Arrays] = field(repr=False)
    cluster: int = 0

    @property
    def delta(self) -> Arrays:
        return self.groups["delta"]

    def check(self, like: Arrays) -> None:
        """Raises SiloError naming the silo when an array is missing, of another shape, or not finite."""
        if not self.rows > 0 or self.steps < 1:
            raise SiloError(f"silo {self.silo!r} says it learned {self.steps} step(s) from {self.rows:g} rows.")
        for group, arrays in self.groups.items():
            shapes = {name: array.shape for name, array in arrays.items()}
            if shapes != {name: array.shape for name, array in like.items()}:
                wrong = sorted(set(shapes.items()) ^ {(name, array.shape) for name, array in like.items()})[0]
                raise SiloError(f"silo {self.silo!r} sent {group} of another model: {wrong[0]!r} has another shape.")
        if self._not_finite:
            raise SiloError(f"silo {self.silo!r} sent {self._not_finite}.")

    @cached_property
    def _not_finite(self) -> str:
        """Looked at once: an update is checked when it comes and again by whoever averages it."""
        for group, arrays in self.groups.items():
            for name, array in arrays.items():
                if not np.isfinite(array).all():
                    return f"{group} with values that are not finite, in {name!r}"
        return ""
