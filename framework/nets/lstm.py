"""A long short-term memory over a window, and all steps ahead from its last state.

Hochreiter, Schmidhuber 1997, "Long Short-Term Memory", https://doi.org/10.1162/neco.1997.9.8.1735; with the forget
gate of Gers, Schmidhuber, Cummins 2000.
"""

import torch
from torch import nn


class LSTM(nn.Module):  # type: ignore[misc]
    """Windows, shape (batch, time, channels) → shape (batch, horizon).

    i, f, o = σ(W x_t + U h_{t-1} + b) each, g = tanh(W x_t + U h_{t-1} + b), c_t = f ∘ c_{t-1} + i ∘ g,
    h_t = o ∘ tanh(c_t); the answer is linear in the last h and in the static inputs.
    """

    def __init__(
        self,
        *,
        time: int,
        channels: int,
        horizon: int,
        static: int = 0,
        width: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        """time: any window length is taken; the argument is there because all series nets have it."""
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.cells = nn.LSTM(channels, width, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width + static, horizon)

    def forward(self, windows: torch.Tensor, static: torch.Tensor | None = None) -> torch.Tensor:
        states, _ = self.cells(windows)
        last = self.dropout(states[:, -1])
        return self.head(last if static is None else torch.cat([last, static], dim=1))
