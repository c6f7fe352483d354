"""A window cut into patches, which are the tokens of a Transformer: PatchTST.

Nie, Nguyen, Sinthong, Kalagnanam 2023, "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers",
https://arxiv.org/abs/2211.14730.
"""

import torch
from torch import nn


class Patches(nn.Module):  # type: ignore[misc]
    """Windows, shape (batch, time, channels) → shape (batch, horizon).

    The window's end is repeated `stride` times and cut into ⌊(time - length) / stride⌋ + 2 patches; x_p W + position,
    Transformer layers, all patches flattened, and a linear head. Other than the paper: one series is told, so all
    channels of a patch make one token; norms are LayerNorms before each part, not BatchNorms after, so that a row is
    answered alone as in a batch, and by many workers as by one.
    """

    undecayed = frozenset({"position"})  # see training/optimizer.py

    def __init__(
        self,
        *,
        time: int,
        channels: int,
        horizon: int,
        static: int = 0,
        length: int = 0,
        stride: int = 0,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        """length, stride: of patches, in steps; 0 for an eighth of the window and half of the length."""
        super().__init__()
        self.length = min(time, length or max(2, time // 8))
        self.stride = stride or max(1, self.length // 2)
        self.count = (time - self.length) // self.stride + 2
        self.token = nn.Linear(self.length * channels, width)
        self.position = nn.Parameter(torch.empty(self.count, width).uniform_(-0.02, 0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
                )
                for _ in range(layers)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(self.count * width + static, horizon)

    def cut(self, windows: torch.Tensor) -> torch.Tensor:
        """Shape (batch, time, channels) → patches, shape (batch, count, channels · length), the newest last."""
        end = windows[:, -1:].expand(-1, self.stride, -1)
        return torch.cat([windows, end], dim=1).unfold(1, self.length, self.stride).flatten(2)

    def forward(self, windows: torch.Tensor, static: torch.Tensor | None = None) -> torch.Tensor:
        tokens = self.dropout(self.token(self.cut(windows)) + self.position)
        flat = self.norm(self.layers(tokens)).flatten(1)
        return self.head(flat if static is None else torch.cat([flat, static], dim=1))
