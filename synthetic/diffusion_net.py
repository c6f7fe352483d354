"""A net that takes noise off a row's vector, some parts of which may be known.

Karras et al. 2022, "Elucidating the design space of diffusion-based generative models"
(https://arxiv.org/abs/2206.00364): preconditioning, weighting and the second-order sampler, equations 7 and 8 and
algorithm 1 without its churn. Parts that are known are given clean, as in CSDI (https://arxiv.org/abs/2107.03502).
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

MIDDLE, WIDTH = -0.8, 1.4  # of the logarithm of a training row's noise
LEAST, MOST = 0.01, 40.0  # noise that a draw goes through
BEND = 7.0  # ρ: how much finer the steps become as noise gets less
WAVES = 16
UNKNOWN = 0.3  # share of training rows of which nothing is known


class Denoiser(nn.Module):
    """spread: of each dimension, shape (dimensions,). groups: the part each is of, int64, the same shape."""

    spread: Tensor
    groups: Tensor

    def __init__(self, spread: Any, groups: Any, *, width: int = 256, blocks: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("spread", torch.as_tensor(spread, dtype=torch.float32))
        self.register_buffer("groups", torch.as_tensor(groups, dtype=torch.int64))
        dimensions = len(self.spread)
        self.first = nn.Linear(2 * dimensions, width)
        self.noise = nn.Sequential(nn.Linear(2 * WAVES, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width)
            )
            for _ in range(blocks)
        )
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dimensions))
        for part in self.last[1].parameters():
            part.data.zero_()

    def denoise(self, noisy: Tensor, sigma: Tensor, known: Tensor) -> Tensor:
        """What rows were without their noise of standard deviation sigma, shape (rows, 1). noisy: the known dimensions
        (known, bool) without noise. Both of shape (rows, dimensions)."""
        both = (sigma**2 + self.spread**2).sqrt()
        scaled = torch.where(known, noisy / self.spread, noisy / both)
        waves = sigma.log() / 4 * torch.arange(1, WAVES + 1, device=sigma.device)
        state = self.first(torch.cat([scaled, known.float()], dim=1)) + self.noise(
            torch.cat([waves.cos(), waves.sin()], dim=1)
        )
        for block in self.blocks:
            state = state + block(state)
        told = (self.spread / both) ** 2 * noisy + sigma * self.spread / both * self.last(state)
        return torch.where(known, noisy, told)

    def forward(self, rows: Tensor) -> Tensor:
        """Each row's loss at one noise, weighted, shape (rows,): what is left of its dimensions' variance, over those
        not known. Noise is drawn anew when training; else it is the same at every call."""
        draw = None if self.training else torch.Generator(rows.device).manual_seed(len(rows))
        asked: dict[str, Any] = {"device": rows.device, "generator": draw}
        sigma = (MIDDLE + WIDTH * torch.randn(len(rows), 1, **asked)).exp()
        parts = int(self.groups.max()) + 1
        chance = torch.rand(len(rows), 1, **asked) * (torch.rand(len(rows), 1, **asked) > UNKNOWN)
        known = (torch.rand(len(rows), parts, **asked) < chance)[:, self.groups]
        noisy = torch.where(known, rows, rows + sigma * torch.randn(rows.shape, **asked))
        error = (self.denoise(noisy, sigma, known) - rows) ** 2
        weight = (sigma**2 + self.spread**2) / (sigma * self.spread) ** 2
        free = (~known).float()
        return (error * weight * free).sum(dim=1) / free.sum(dim=1).clamp(min=1)

    def draw(self, noise: Tensor, given: Tensor, known: Tensor, steps: int) -> Tensor:
        """Vectors from standard normal noise: along the probability flow, by Heun's method, the known held."""
        ends = [each ** (1 / BEND) for each in (MOST, LEAST)]
        levels = [(ends[0] + at / (steps - 1) * (ends[1] - ends[0])) ** BEND for at in range(steps)] + [0.0]
        state = torch.where(known, given, noise * MOST)
        with torch.inference_mode():
            for now, then in pairwise(levels):
                slope = (state - self.denoise(state, self._at(now, state), known)) / now
                ahead = state + (then - now) * slope
                if then > 0:
                    other = (ahead - self.denoise(ahead, self._at(then, state), known)) / then
                    ahead = state + (then - now) * (slope + other) / 2
                state = torch.where(known, given, ahead)
        return state

    def _at(self, level: float, rows: Tensor) -> Tensor:
        return torch.full((len(rows), 1), level, device=rows.device)
