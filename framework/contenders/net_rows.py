"""Table rows as nets take them, what their outputs mean, and by what they are judged."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from framework.contenders.native import Native
from framework.contenders.target import Target, quantile_of
from framework.data.frame import Fold, Frame

if TYPE_CHECKING:
    import torch

    from framework.training.loop import Loss
    from framework.training.rows import Rows

CARD = "net_rows.json"
LEARN_ROWS = 100_000  # for what a net learns of the columns before its first step


@dataclass(frozen=True)
class NetRows:
    """Inputs float32, shape (rows, columns): numbers with nan for gaps, codes with nan for missing. Outputs of a net,
    shape (rows, members, outputs): logits of `classes` classes, or with 0 classes a value as `target` has it."""

    native: Native
    target: Target
    classes: int

    @classmethod
    def learn(cls, fold: Fold, *, seed: int) -> Self:
        native = Native.learn(fold.schema, fold.train.X, seed=seed)
        target = Target() if fold.classes else Target.learn(fold.train.y, fold.train.weight)
        return cls(native, target, len(fold.classes))

    @property
    def cards(self) -> list[int]:
        """Of each column of the inputs how many categories it has, 0 for a number."""
        known = [len(c.categories) for c in self.native.schema.columns if c.kind == "category"]
        return [known.pop(0) if code else 0 for code in self.native.categorical]

    @property
    def outputs(self) -> int:
        return self.classes or 1

    def inputs(self, X: pd.DataFrame) -> np.ndarray:
        return np.ascontiguousarray(self.native.matrix(X), dtype=np.float32)

    def arrays(self, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, answers (class codes or values as the net learns them) and weights."""
        y = frame.y if self.classes else self.target.forward(frame.y).astype(np.float32)
        weight = np.ones(len(frame)) if frame.weight is None else frame.weight
        return self.inputs(frame.X), np.ascontiguousarray(y), np.ascontiguousarray(weight, dtype=np.float32)

    def rows(self, frame: Frame) -> "Rows":
        return tensors(*self.arrays(frame))

    def loss(self, metric: str) -> "Loss":
        return loss_of(self.classes, metric)

    def predict(self, net: "torch.nn.Module", X: pd.DataFrame, *, block: int = 4096) -> np.ndarray:
        """Class probabilities or values in natural units: the mean of the members'."""
        import torch

        rows = torch.from_numpy(self.inputs(X))
        with torch.inference_mode():
            told = torch.cat([self.answer(net(part)) for part in rows.split(block)]).numpy()
        return told if self.classes else self.target.back(told)

    def answer(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The members' mean: of their probabilities, or of their values."""
        exact = outputs.double()
        return exact.softmax(dim=2).mean(dim=1) if self.classes else exact.mean(dim=1)[:, 0]

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        card = {"classes": self.classes, "target": self.target.to_json()}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return cls(Native.load(folder), Target.from_json(card["target"]), card["classes"])


def tensors(inputs: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> "Rows":
    """The same memory as tensors. Arrays of Ray's object store are read-only, and so are these: by agreement."""
    import warnings

    import torch

    from framework.training.rows import Rows

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return Rows(torch.from_numpy(inputs), torch.from_numpy(answers), torch.from_numpy(weights))


def loss_of(classes: int, metric: str) -> "Loss":
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
        error = answers[:, None] - outputs.squeeze(2)
        each = error * error if quantile is None else torch.maximum(quantile * error, (quantile - 1) * error)
        return each.mean(dim=1) if each.shape[1] > 1 else each.squeeze(1)  # the same, and a fifth of a small net's step

    return missed


def save_weights(net: "torch.nn.Module", path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: part.contiguous() for name, part in net.state_dict().items()}, path)


def load_weights(net: "torch.nn.Module", path: Path) -> "torch.nn.Module":
    """Raises ValueError for a file that is cut short or of another net."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        net.load_state_dict(load(path.read_bytes()))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} does not open: {error}") from error
    return net.eval()


def as_arrays(state: "dict[str, torch.Tensor]") -> dict[str, Any]:
    """A net's weights as they travel."""
    return {name: part.detach().cpu().numpy() for name, part in state.items()}
