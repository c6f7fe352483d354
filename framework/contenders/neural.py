"""A neural net for tables, trained by a plain PyTorch loop."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.native import Native
from framework.contenders.net_rows import LEARN_ROWS, NetRows, load_weights, save_weights
from framework.contenders.target import Target
from framework.contenders.watch import Watch
from framework.data.frame import Fold
from framework.problem import Kind
from framework.search_space import Real, Settings, Space, Whole

if TYPE_CHECKING:
    from framework.contenders.net import TableNet

CARD = "neural.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Neural:
    """A multilayer perceptron with embedded categories, several members in one.

    looks: at the validation rows, one an epoch; patience: looks without gain before it stops, 0 to make all of them.
    """

    width: int = 192
    layers: int = 2
    members: int = 8
    dropout: float = 0.2
    bins: int = 12  # of each number
    batch: int = 256
    learning_rate: float = 0.002
    weight_decay: float = 0.01
    looks: int = 200
    patience: int = 12
    name: str = "neural"
    cpus: float = 1.0
    gpus: float = 0.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("framework.contenders.net", "framework.training.loop")
    pooled: ClassVar[bool] = True
    # Ranges, first settings: Gorishniy et al. 2025 (TabM), appendix D; the others: TabRepo's NN_TORCH r14 and r22.
    space: ClassVar[Space] = {
        "learning_rate": Real(0.0001, 0.01, log=True),
        "weight_decay": Real(0.0001, 0.1, log=True),
        "width": Whole(64, 512, log=True),
        "layers": Whole(1, 4),
        "dropout": Real(0.0, 0.5),
        "bins": Whole(4, 64, log=True),
    }
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"learning_rate": 0.002, "weight_decay": 0.0003, "width": 512, "layers": 3, "dropout": 0.1, "bins": 48},
        {"learning_rate": 0.0018, "weight_decay": 0.0001, "width": 106, "layers": 1, "dropout": 0.39, "bins": 12},
        {"learning_rate": 0.001, "weight_decay": 0.0001, "width": 213, "layers": 4, "dropout": 0.12, "bins": 12},
    )

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, gpus=self.gpus)

    def fit(self, fold: Fold, context: Context) -> "NeuralModel":
        import torch

        from framework.contenders.net import TableNet
        from framework.training.loop import train

        torch.set_num_threads(context.threads)
        device = "cuda" if context.gpus > 0 else "cpu"
        watch = Watch(context, self.patience)
        encoder = NetRows.learn(fold, seed=context.seed)
        rows, valid = encoder.rows(fold.train).to(device), encoder.rows(fold.valid).to(device)
        shape: dict[str, Any] = {
            "cards": encoder.cards,
            "edges": self.bins + 1,
            "width": self.width,
            "layers": self.layers,
            "members": self.members,
            "outputs": encoder.outputs,
            "dropout": self.dropout,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            net = TableNet(**shape).learn(rows.inputs[:LEARN_ROWS].cpu().numpy()).to(device)
            looks = train(
                net,
                rows,
                valid,
                watch,
                loss=encoder.loss(fold.problem.metric),
                looks=self.looks,
                batch=self.batch,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                seed=context.seed,
            )
        return NeuralModel(encoder.native, net.cpu().eval(), shape, encoder.classes, encoder.target, looks)

    def settled(self, model: Model) -> "Neural":
        return replace(self, looks=model.looks, patience=0) if isinstance(model, NeuralModel) else self


@dataclass(frozen=True)
class NeuralModel:
    """A net and the columns it takes. shape: what the net is built from; classes: 0 for values."""

    native: Native
    net: "TableNet" = field(repr=False)
    shape: dict[str, Any]
    classes: int
    target: Target
    looks: int

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return NetRows(self.native, self.target, self.classes).predict(self.net, X)

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        save_weights(self.net, folder / WEIGHTS)
        card = {"shape": self.shape, "classes": self.classes, "target": self.target.to_json(), "looks": self.looks}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from framework.contenders.net import TableNet

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        net = load_weights(TableNet(**card["shape"]), folder / WEIGHTS)
        target = Target.from_json(card["target"])
        return cls(Native.load(folder), net, card["shape"], card["classes"], target, card["looks"])
