"""A multilayer perceptron that came home as arrays: it answers by numpy, whoever trained it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from cluster.wire import Facts
from federated.dense import Dense
from federated.layers import forward, perceptron

CARD = "dense_model.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class DenseModel:
    """weights: of the layers in their order, kernel and bias of each; plan: their activations; None: ReLU between them.
    rounds: after which they were best. privacy: as `Promise` has it; None: nothing is promised."""

    dense: Dense
    weights: list[np.ndarray] = field(repr=False)
    rounds: int
    plan: Sequence[str] | None = None
    privacy: Facts | None = None

    @property
    def promises(self) -> tuple[str, ...]:
        """What the model card says of privacy."""
        from federated.privacy.promise import Promise

        return (str(Promise(**self.privacy)),) if self.privacy else ()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        plan = self.plan or perceptron(len(self.weights) // 2)
        told = forward(self.weights, self.dense.matrix(X), plan).astype(np.float64)
        if not self.dense.rows.classes:
            return self.dense.rows.target.back(told[:, 0])
        likely = np.exp(told - told.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({str(place): np.ascontiguousarray(part) for place, part in enumerate(self.weights)}, folder / WEIGHTS)
        self.dense.save(folder)
        card = {"rounds": self.rounds, "plan": self.plan, "privacy": self.privacy}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load((folder / WEIGHTS).read_bytes())
        except SafetensorError as error:
            raise ValueError(f"{folder / WEIGHTS} does not open: {error}") from error
        weights = [arrays[str(place)] for place in range(len(arrays))]
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return cls(Dense.load(folder), weights, card["rounds"], card.get("plan"), card.get("privacy"))
