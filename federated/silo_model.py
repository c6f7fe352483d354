"""A model of many silos as it answers: the common net, and for some silos weights of their own."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from cluster.wire import Arrays, Facts
from federated.net_weights import load
from framework.contenders.net_rows import NetRows

if TYPE_CHECKING:
    import torch

CARD = "federated.json"
WEIGHTS = "weights.safetensors"
COMMON = ""  # the part of whoever has none of their own


@dataclass(frozen=True)
class SiloModel:
    """silo: the column that tells silos apart. parts: name → the weights that differ from the common ones; members:
    silo → part. A silo that took no part in training is answered by the common net.

    privacy: what the fit promises about the rows, as `Promise` has it; None: nothing. tuned: silo → the epochs for
    which it trained the common weights on for itself.
    """

    rows: NetRows
    quantiles: np.ndarray = field(repr=False)  # of the columns, as `Preparation` has them
    net: str
    shape: dict[str, Any]
    silo: str
    weights: Arrays = field(repr=False)
    parts: dict[str, Arrays] = field(repr=False)
    members: dict[str, str]
    rounds: int
    privacy: Facts | None = None
    tuned: dict[str, int] = field(default_factory=dict)

    @property
    def promises(self) -> tuple[str, ...]:
        """What whoever registers or serves it is to know of its rows' privacy, in sentences."""
        from federated.privacy.promise import Promise

        return (str(Promise(**self.privacy)),) if self.privacy else ()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """As `Model` has it. X: with the silo column."""
        columns = X[list(self.rows.native.schema.names)].reset_index(drop=True)
        part_of = X[self.silo].astype(object).map(self.members).fillna(COMMON).to_numpy()
        told = np.zeros((len(X), self.rows.classes) if self.rows.classes else len(X))
        for part in sorted(set(part_of)):
            chosen = np.flatnonzero(part_of == part)
            told[chosen] = self.rows.predict(self._net(part), columns.iloc[chosen])
        return told

    def _net(self, part: str) -> "torch.nn.Module":
        from framework.nets import build

        if part not in self._nets:
            net = build(self.net, cards=self.rows.cards, outputs=self.rows.outputs, **self.shape)
            net.learn(self.quantiles)
            load(net, {**self.weights, **self.parts.get(part, {})})
            self._nets[part] = net.eval()
        return self._nets[part]

    @cached_property
    def _nets(self) -> "dict[str, torch.nn.Module]":
        """Those that have answered already."""
        return {}

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        names = sorted(self.parts)  # a part's name may be any text: in the file it is a number
        arrays = {"quantiles": self.quantiles}
        arrays |= {f"common|{name}": np.ascontiguousarray(array) for name, array in self.weights.items()}
        for place, part in enumerate(names):
            arrays |= {f"{place}|{name}": np.ascontiguousarray(array) for name, array in self.parts[part].items()}
        save_file(arrays, folder / WEIGHTS)
        self.rows.save(folder)
        card = {key: getattr(self, key) for key in ("net", "shape", "silo", "members", "rounds", "privacy", "tuned")}
        (folder / CARD).write_text(json.dumps({**card, "parts": names}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import SafetensorError
        from safetensors.numpy import load as open_arrays

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        names = card.pop("parts")
        try:
            arrays = open_arrays((folder / WEIGHTS).read_bytes())
        except SafetensorError as error:
            raise ValueError(f"{folder / WEIGHTS} does not open: {error}") from error
        quantiles = arrays.pop("quantiles")
        sides: dict[str, Arrays] = {"common": {}, **{str(place): {} for place in range(len(names))}}
        for key, array in arrays.items():
            side, _, name = key.partition("|")
            sides[side][name] = array
        parts = {name: sides[str(place)] for place, name in enumerate(names)}
        return cls(NetRows.load(folder), quantiles, weights=sides["common"], parts=parts, **card)
