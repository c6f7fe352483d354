"""A regression's answers as an engine learns them best, and back: standardised, on a log scale where that helps."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

QUANTILES = {"mae": 0.5, "mape": 0.5, "pinball": 0.5, "pinball_90": 0.9, "mase": 0.5, "smape": 0.5}

ROOM, LOG_ROOM = 0.5, 0.1  # of the span of z, beyond what training had


def quantile_of(metric: str) -> float | None:
    """The quantile of the answer that a metric is best served by; None: its mean."""
    return QUANTILES.get(metric)


@dataclass(frozen=True)
class Target:
    """y ↔ z = (log y - shift) / scale, or without the log.

    low, high: what z was in training, with some room on either side; z is held within on the way back, because one
    odd row must not become a number without meaning: least of all by an exponential.
    """

    logged: bool = False
    shift: float = 0.0
    scale: float = 1.0
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def learn(cls, y: np.ndarray, weight: np.ndarray | None = None, *, logged: bool = False) -> Self:
        z = np.log(y) if logged else y
        shift = float(np.average(z, weights=weight))
        scale = float(np.sqrt(np.average((z - shift) ** 2, weights=weight))) or 1.0
        low, high = (float(z.min()) - shift) / scale, (float(z.max()) - shift) / scale
        room = (high - low) * (LOG_ROOM if logged else ROOM)
        return cls(logged, shift, scale, low - room, high + room)

    def forward(self, y: np.ndarray) -> np.ndarray:
        return ((np.log(y) if self.logged else y) - self.shift) / self.scale

    def back(self, z: np.ndarray) -> np.ndarray:
        y = np.clip(z, self.low, self.high) * self.scale + self.shift
        return np.asarray(np.exp(y) if self.logged else y)

    def moved(self, by: float) -> "Target":
        """The same with every answer moved by this much in z."""
        return Target(self.logged, self.shift + by * self.scale, self.scale, self.low - by, self.high - by)

    def to_json(self) -> dict[str, Any]:
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**{name: value for name, value in data.items() if value is not None})
