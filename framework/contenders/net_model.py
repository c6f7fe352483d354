"""A trained net for tables as it answers and is kept: one process, no engine."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from framework.contenders.net_rows import NetRows, load_weights, save_weights

if TYPE_CHECKING:
    import torch

CARD = "net.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class NetModel:
    """A net of `framework.nets` and the columns it takes. It answers in one process, whoever trained it."""

    rows: NetRows
    net: "torch.nn.Module" = field(repr=False)
    kind: str  # the net's name
    shape: dict[str, Any]
    looks: int

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.rows.predict(self.net, X)

    def save(self, folder: Path) -> None:
        self.rows.save(folder)
        save_weights(self.net, folder / WEIGHTS)
        card = {"net": self.kind, "shape": self.shape, "looks": self.looks}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from framework.nets import build

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        net = load_weights(build(card["net"], **card["shape"]), folder / WEIGHTS)
        return cls(NetRows.load(folder), net, card["net"], card["shape"], card["looks"])
