"""The two nets of a conditional tabular GAN, and its losses.

Xu et al. 2019, "Modeling tabular data using conditional GAN" (https://arxiv.org/abs/1907.00503), with the gradient
penalty of Gulrajani et al. 2017 and the packs of PacGAN (Lin et al. 2018).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from synthetic.gan_modes import Modes

PENALTY = 10.0
SHARPNESS = 0.2  # of the Gumbel softmax


class Residual(nn.Module):
    """What came in, beside what a layer makes of it."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.turn, self.norm = nn.Linear(inputs, width), nn.BatchNorm1d(width)

    def forward(self, state: Tensor) -> Tensor:
        return torch.cat([torch.relu(self.norm(self.turn(state))), state], dim=1)


class Generator(nn.Module):
    """Noise and a condition, shape (rows, noise + conditions), to a row's vector before its corners are chosen."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 256, layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(Residual(inputs + at * width, width) for at in range(layers)))
        self.last = nn.Linear(inputs + layers * width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        told: Tensor = self.last(self.layers(inputs))
        return told


class Critic(nn.Module):
    """How real a pack of rows looks, shape (rows / pack, 1)."""

    def __init__(self, inputs: int, *, width: int = 256, pack: int = 10) -> None:
        super().__init__()
        self.wide = inputs * pack
        self.layers = nn.Sequential(
            nn.Linear(self.wide, width), nn.LeakyReLU(0.2), nn.Dropout(0.5),
            nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Dropout(0.5), nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, rows: Tensor) -> Tensor:
        told: Tensor = self.layers(rows.reshape(-1, self.wide))
        return told

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """λ · (|∇ critic| - 1)² at points between packs of real and of made rows."""
        real, fake = real.reshape(-1, self.wide), fake.reshape(-1, self.wide)
        between = real + torch.rand(len(real), 1, device=real.device) * (fake - real)
        between.requires_grad_(True)
        (slope,) = torch.autograd.grad(self.layers(between).sum(), between, create_graph=True)
        return PENALTY * ((slope.norm(dim=1) - 1) ** 2).mean()


def choose(logits: Tensor, modes: "Modes", noise: Tensor) -> Tensor:
    """A row's vector: distances by tanh, corners by Gumbel softmax. noise: uniform, the logits' shape."""
    parts = []
    gumbel = -torch.log(-torch.log(noise.clamp(1e-9, 1 - 1e-7)))
    for span in modes.spans:
        if span.distance:
            parts.append(torch.tanh(logits[:, span.begin : span.begin + 1]))
        parts.append(((logits[:, span.corners] + gumbel[:, span.corners]) / SHARPNESS).softmax(dim=1))
    return torch.cat(parts, dim=1)


def drawn(logits: Tensor, modes: "Modes", noise: Tensor) -> Tensor:
    """As `choose`, of which only the greatest corner counts: what `Modes.decode` asks. noise: exponential."""
    made = logits - noise.log()
    away = [span.begin for span in modes.spans if span.distance]
    made[:, away] = torch.tanh(logits[:, away])
    return made


def disobedience(logits: Tensor, modes: "Modes", part: Tensor, token: Tensor) -> Tensor:
    """Mean cross-entropy between the condition of each row (a part, and its token) and what was made of that part."""
    total = torch.zeros((), device=logits.device)
    for at in part.unique().tolist():
        rows = part == at
        span = modes.spans[at]
        total = total + functional.cross_entropy(logits[rows][:, span.corners], token[rows], reduction="sum")
    return total / len(part)
