"""A temporal convolutional net: dilated causal convolutions with shortcuts.

Bai, Kolter, Koltun 2018, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
Modeling", https://arxiv.org/abs/1803.01271.
"""

import torch
from torch import nn
from torch.nn.functional import pad
from torch.nn.utils.parametrizations import weight_norm


class Causal(nn.Module):  # type: ignore[misc]
    """y_t = Σ_{i<k} W_i x_{t - d (k-1-i)} + b, x = 0 before the window: nothing after t is in y_t.

    Shape (batch, channels, time) → shape (batch, width, time). The weights are direction and length apart
    (weight normalisation), as in the paper.
    """

    def __init__(self, channels: int, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.convolution = weight_norm(nn.Conv1d(channels, width, kernel, dilation=dilation))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(pad(x, (self.before, 0)))


class Block(nn.Module):  # type: ignore[misc]
    """ReLU(x + F(x)), F twice: causal convolution, ReLU, dropout. A 1 x 1 convolution of x where channels differ."""

    def __init__(self, channels: int, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.path = nn.Sequential(
            Causal(channels, width, kernel, dilation),
            nn.ReLU(),
            nn.Dropout(dropout),
            Causal(width, width, kernel, dilation),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.shortcut = nn.Identity() if channels == width else nn.Conv1d(channels, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


class TCN(nn.Module):  # type: ignore[misc]
    """Windows, shape (batch, time, channels) → shape (batch, horizon), linear in the last step's hidden state.

    Block l looks back with dilation 2^l, so that the last step sees 1 + 2 (kernel - 1) (2^blocks - 1) steps.
    blocks: 0 for as many as it takes to see the whole window.
    """

    def __init__(
        self,
        *,
        time: int,
        channels: int,
        horizon: int,
        static: int = 0,
        width: int = 48,
        blocks: int = 0,
        kernel: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if kernel < 2:
            raise ValueError(f"kernel={kernel} looks back on nothing; it needs 2 steps at least")
        blocks = blocks or enough(time, kernel)
        self.sees = 1 + 2 * (kernel - 1) * (2**blocks - 1)
        self.blocks = nn.Sequential(
            *(Block(width if place else channels, width, kernel, 2**place, dropout) for place in range(blocks))
        )
        self.head = nn.Linear(width + static, horizon)

    def steps(self, windows: torch.Tensor) -> torch.Tensor:
        """The hidden state at each step, told from what was up to it: shape (batch, time, width)."""
        return self.blocks(windows.transpose(1, 2)).transpose(1, 2)

    def forward(self, windows: torch.Tensor, static: torch.Tensor | None = None) -> torch.Tensor:
        last = self.steps(windows)[:, -1]
        return self.head(last if static is None else torch.cat([last, static], dim=1))


def enough(time: int, kernel: int) -> int:
    """The fewest blocks whose last step sees `time` steps."""
    blocks = 1
    while 1 + 2 * (kernel - 1) * (2**blocks - 1) < time:
        blocks += 1
    return blocks
