"""An engine that knows nothing but its rows: what every gate has to find out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthetic.fitted import Fitted, learn
from synthetic.synthesizer import Allowed, Learned


class Rows:
    """The rows themselves."""

    exact = True

    def __init__(self, rows: Learned, shaken: bool = False) -> None:
        self.places, self.shaken = rows.places, shaken

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        drawn = self.places[random.integers(0, len(self.places), rows)]
        inside = np.clip(drawn % 1 + random.uniform(-0.1, 0.1, drawn.shape), 0, 1 - 1e-9)
        return np.asarray(np.floor(drawn) + inside if self.shaken else drawn)

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    load = classmethod(lambda kind, folder: kind(folder))


@dataclass(frozen=True)
class ByHeart:
    """shaken: numbers are moved a little within their bins, so that no row is a copy."""

    shaken: bool = False
    name: str = "by heart"
    licence = ""

    def fit(self, frame: pd.DataFrame, constraints: Any = (), context: Any = None) -> Fitted:
        return learn(frame, constraints, lambda rows: Rows(rows, self.shaken), engine=self.name)
