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
from framework.contenders.target import Target, quantile_of
from framework.contenders.watch import Watch
from framework.data.frame import Fold, Frame
from framework.problem import Kind

if TYPE_CHECKING:
    import torch

    from framework.contenders.net import TableNet
    from framework.training.loop import Loss

CARD = "neural.json"
WEIGHTS = "weights.safetensors"
LEARN_ROWS = 100_000  # for the quantiles
BLOCK = 4096  # rows answered at once


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
    pooled: ClassVar[bool] = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, gpus=self.gpus)

    def fit(self, fold: Fold, context: Context) -> "NeuralModel":
        import torch

        from framework.contenders.net import TableNet
        from framework.training.loop import Rows, train

        torch.set_num_threads(context.threads)
        device = "cuda" if context.gpus > 0 else "cpu"
        watch = Watch(context, self.patience)
        native = Native.learn(fold.schema, fold.train.X, seed=context.seed)
        target = Target() if fold.classes else Target.learn(fold.train.y, fold.train.weight)

        def rows_of(frame: Frame) -> Rows:
            y = frame.y if fold.classes else target.forward(frame.y).astype(np.float32)
            weight = np.ones(len(frame)) if frame.weight is None else frame.weight
            arrays = (native.matrix(frame.X).astype(np.float32), np.array(y), weight.astype(np.float32))
            return Rows(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays))

        rows, valid = rows_of(fold.train), rows_of(fold.valid)
        known = {c.name: len(c.categories) for c in fold.schema.columns if c.kind == "category"}
        cards = list(known.values())
        shape: dict[str, Any] = {
            "cards": [cards.pop(0) if code else 0 for code in native.categorical],
            "edges": self.bins + 1,
            "width": self.width,
            "layers": self.layers,
            "members": self.members,
            "outputs": len(fold.classes) or 1,
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
                loss=_loss(len(fold.classes), fold.problem.metric),
                looks=self.looks,
                batch=self.batch,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                seed=context.seed,
            )
        return NeuralModel(native, net.cpu().eval(), shape, len(fold.classes), target, looks)

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
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(self.native.matrix(X), dtype=np.float32))
        with torch.inference_mode():
            told = torch.cat([self._answer(self.net(block)) for block in rows.split(BLOCK)]).numpy()
        return told if self.classes else self.target.back(told)

    def _answer(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The members' mean: of their probabilities, or of their values."""
        exact = outputs.double()
        return exact.softmax(dim=2).mean(dim=1) if self.classes else exact.mean(dim=1)[:, 0]

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        self.native.save(folder)
        save_file({name: part.contiguous() for name, part in self.net.state_dict().items()}, folder / WEIGHTS)
        card = {"shape": self.shape, "classes": self.classes, "target": self.target.to_json(), "looks": self.looks}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import SafetensorError
        from safetensors.torch import load

        from framework.contenders.net import TableNet

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        net = TableNet(**card["shape"])
        try:
            net.load_state_dict(load((folder / WEIGHTS).read_bytes()))
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"{folder / WEIGHTS} does not open: {error}") from error
        target = Target.from_json(card["target"])
        return cls(Native.load(folder), net.eval(), card["shape"], card["classes"], target, card["looks"])


def _loss(classes: int, metric: str) -> "Loss":
    """A row's mean loss over the members: each learns for itself."""
    import torch

    if classes:

        def told(outputs: "torch.Tensor", answers: "torch.Tensor") -> "torch.Tensor":
            members = outputs.shape[1]
            repeated = answers[:, None].expand(-1, members)
            each = torch.nn.functional.cross_entropy(outputs.transpose(1, 2), repeated, reduction="none")
            return each.mean(dim=1)

        return told
    quantile = quantile_of(metric)

    def missed(outputs: "torch.Tensor", answers: "torch.Tensor") -> "torch.Tensor":
        error = answers[:, None] - outputs[:, :, 0]
        each = error**2 if quantile is None else torch.maximum(quantile * error, (quantile - 1) * error)
        return each.mean(dim=1)

    return missed
