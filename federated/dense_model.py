"""A multilayer perceptron that came home as arrays: it answers by numpy, whoever trained it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from federated.dense import Dense
from federated.layers import forward

CARD = "dense_model.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class DenseModel:
    """weights: of the layers in their order, kernel and bias of each. rounds: after which they were best."""

    dense: Dense
    weights: list[np.ndarray] = field(repr=False)
    rounds: int

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        told = forward(self.weights, self.dense.matrix(X)).astype(np.float64)
        if not self.dense.rows.classes:
            return self.dense.rows.target.back(told[:, 0])
        likely = np.exp(told - told.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({str(place): np.ascontiguousarray(part) for place, part in enumerate(self.weights)}, folder / WEIGHTS)
        self.dense.save(folder)
        (folder / CARD).write_text(json.dumps({"rounds": self.rounds}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load((folder / WEIGHTS).read_bytes())
        except SafetensorError as error:
            raise ValueError(f"{folder / WEIGHTS} does not open: {error}") from error
        weights = [arrays[str(place)] for place in range(len(arrays))]
        rounds = json.loads((folder / CARD).read_text(encoding="utf-8"))["rounds"]
        return cls(Dense.load(folder), weights, rounds)
