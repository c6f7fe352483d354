"""How many replicas answer: a number, or as many as the requests need within two bounds, and how soon that changes.

Every replica tells Ray Serve's controller how many requests it has at a time. Where their mean over the last seconds
asks for another number of replicas (all requests by `Pace.ongoing`, rounded up), and has done so for as long as the
pace says, the controller starts one or lets one go: it takes no new requests then, and ends with its last answer.
"""

import re
from dataclasses import dataclass
from typing import Any

from cluster.user_error import UserError

ONGOING = 32.0  # requests that a replica has at a time before another is worth its start: they are scored together
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

    def options(self, pace: "Pace | None" = None) -> dict[str, Any]:
        """As Ray Serve's deployment takes it. pace: the usual one by default; of no use to a fixed number."""
        if self.least == self.most:
            return {"num_replicas": self.most}
        bounds = {"min_replicas": self.least, "max_replicas": self.most}
        return {"autoscaling_config": {**bounds, **(pace or Pace()).options()}}


@dataclass(frozen=True)
class Pace:
    """When another replica is started, and when one goes.

    ongoing: requests that a replica has at a time, on average, above which another one is worth its start.
    up_seconds: for so long there have to be too many. down_seconds: for so long there have to be too few; longer, for
    a replica takes seconds to start and what it costs while idle is memory.
    """

    ongoing: float = ONGOING
    up_seconds: float = 15.0
    down_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name, least, most in (("ongoing", 0.1, 1e4), ("up_seconds", 0.0, 1e4), ("down_seconds", 0.0, 1e5)):
            if not least <= getattr(self, name) <= most:
                raise ScaleError(f"{name} is {getattr(self, name):g}; it lies in {least:g} … {most:g}.")

    @classmethod
    def of(cls, **told: float | None) -> "Pace | None":
        """The pace of what is told, the rest as usual; None where nothing is: that of the running server."""
        given = {name: value for name, value in told.items() if value is not None}
        return cls(**given) if given else None

    def options(self) -> dict[str, float]:
        """As Ray Serve's autoscaling takes it; it looks five times within the time after which it has to act."""
        interval = min(10.0, max(0.5, self.up_seconds / 5))
        return {
            "target_ongoing_requests": self.ongoing,
            "upscale_delay_s": self.up_seconds,
            "downscale_delay_s": self.down_seconds,
            "metrics_interval_s": interval,
            "look_back_period_s": max(2 * interval, min(30.0, self.up_seconds)),
        }
