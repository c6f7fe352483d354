"""How many replicas answer: a number, or as many as the requests need within two bounds."""

import re
from dataclasses import dataclass
from typing import Any

from cluster.user_error import UserError

ONGOING = 32  # requests that a replica has at a time before another is worth its start: they are scored together
MOST = 1_000
_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


class ScaleError(UserError):
    """A number of replicas that there cannot be."""


@dataclass(frozen=True)
class Scale:
    """So many replicas at the least, and at the most; the same number: always so many."""

    least: int
    most: int

    @classmethod
    def of(cls, told: int | str) -> "Scale":
        """The scale of 2, "2" or "1-4". Raises ScaleError for anything else."""
        found = _RANGE.fullmatch(str(told).strip())
        least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= least <= most <= MOST:
            raise ScaleError(f"replicas is {told!r}. Pass a number from 1, or two such as 1-4, the smaller one first.")
        return cls(least, most)

    def beside(self, other: "Scale") -> "Scale":
        """Both at once: never fewer than either."""
        return Scale(max(self.least, other.least), max(self.most, other.most))

    def options(self) -> dict[str, Any]:
        """As Ray Serve's deployment takes it."""
        if self.least == self.most:
            return {"num_replicas": self.most}
        bounds = {"min_replicas": self.least, "max_replicas": self.most}
        return {"autoscaling_config": {**bounds, "target_ongoing_requests": ONGOING}}
