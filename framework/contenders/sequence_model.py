"""A net that has learned to forecast, and the history that it forecasts from."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from framework.contenders.effect import Effect
from framework.contenders.history import History
from framework.contenders.naive import naive_forecast
from framework.contenders.windows import Windows

if TYPE_CHECKING:
    import torch

CARD = "sequence.json"
WEIGHTS = "weights.safetensors"
BLOCK = 4096  # windows answered at once


@dataclass(frozen=True)
class SequenceModel:
    """Each series' history and the net (None: the naive forecast it is). shape: what the net is built from.
    effect: what columns known ahead add; the history is without it.

    A moment within the history is told from what was known before it; a series never seen, by the mean of all.
    """

    windows: Windows
    net: "torch.nn.Module | None" = field(repr=False)
    shape: dict[str, Any]
    looks: int
    effect: Effect

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        history = self.windows.history
        codes, columns = history.places(X)
        told = np.asarray(naive_forecast(history, codes, columns) + self.effect.at(codes, history.planned.matrix(X)))
        known = codes >= 0
        known[known] &= columns[known] > history.first[codes[known]]
        if self.net is None or not known.any():
            return told
        codes, columns = codes[known], columns[known]
        origins = history.origins(codes, columns)
        each, place = np.unique(np.stack([codes, origins]), axis=1, return_inverse=True)
        difference = self._answer(each[0], each[1])[place.ravel(), self.windows.step(origins, columns)]
        told[known] += difference * self.windows.scale(codes, origins)
        return told

    def _answer(self, codes: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Shape (windows, steps), in units of each window's scale."""
        import torch

        assert self.net is not None
        blocks = range(0, len(codes), BLOCK)
        pasts = (self.windows.past(codes[at : at + BLOCK], origins[at : at + BLOCK]) for at in blocks)
        with torch.inference_mode():
            return np.concatenate([self.net(torch.from_numpy(past)).double().numpy() for past in pasts])

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        self.windows.history.save(folder)
        self.effect.save(folder)
        card = {"length": self.windows.length, "steps": self.windows.steps, "shape": self.shape, "looks": self.looks}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")
        if self.net is not None:
            save_file({name: part.contiguous() for name, part in self.net.state_dict().items()}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        windows = Windows(History.load(folder), card["length"], card["steps"])
        effect = Effect.load(folder)
        if not card["shape"]:
            return cls(windows, None, {}, card["looks"], effect)
        from safetensors import SafetensorError
        from safetensors.torch import load

        from framework.nets import build_series

        net = build_series(**card["shape"])
        try:
            net.load_state_dict(load((folder / WEIGHTS).read_bytes()))
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"{folder / WEIGHTS} does not open: {error}") from error
        return cls(windows, net.eval(), card["shape"], card["looks"], effect)
