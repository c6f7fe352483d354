"""Rows as a training step takes them: tensors, and one rank's part of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Rows:
    """Inputs shape (rows, …), answers shape (rows, …), weights shape (rows,)."""

    inputs: "torch.Tensor"
    answers: "torch.Tensor"
    weights: "torch.Tensor"

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, places: "torch.Tensor | slice") -> "Rows":
        return Rows(self.inputs[places], self.answers[places], self.weights[places])

    def to(self, device: "torch.device") -> "Rows":
        return Rows(self.inputs.to(device), self.answers.to(device), self.weights.to(device))

    def split(self, rows: int) -> "list[Rows]":
        """In blocks of so many rows; the last one has those that are left."""
        parts = (self.inputs.split(rows), self.answers.split(rows), self.weights.split(rows))
        return [Rows(*each) for each in zip(*parts, strict=True)]

    def pieces(self, count: int) -> "list[Rows]":
        """As many equal parts, or fewer where there are fewer rows."""
        parts = (self.inputs.chunk(count), self.answers.chunk(count), self.weights.chunk(count))
        return [Rows(*each) for each in zip(*parts, strict=True)]


@dataclass(frozen=True)
class Part:
    """One rank's part of one batch. total: the weight of the whole batch; count: its rows."""

    rows: Rows
    total: "torch.Tensor | float"
    count: int
