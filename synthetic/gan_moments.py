"""What made rows are held against beside the critic: the means and the correlations of real ones.

A critic learns them too, after thousands of steps; here they are told at once. Mroueh, Sercu, Goel 2017, "McGan: mean
and covariance feature matching GAN" (https://arxiv.org/abs/1702.08398).
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from synthetic.gan_modes import Modes

LEAST_SPREAD = 0.05  # of a corner: the rarest weigh no more than one that 0.25 % of the rows have
MOST = 512  # features, those that vary most: correlations take the square of it
BLOCK = 65_536  # rows at once


class Moments:
    """The means and correlations of rows' features, counted by weights, shape (rows,), that sum to 1.

    A feature is an entry of a row's vector, or a number's value: where its mode is, and how far from it.
    """

    def __init__(self, real: Tensor, weights: np.ndarray, modes: "Modes") -> None:
        numbers = [span for span in modes.spans if span.centres is not None and span.widths is not None]
        self.away = torch.tensor([span.begin for span in numbers], dtype=torch.long, device=real.device)
        self.centres, self.widths = (torch.zeros(modes.width, len(numbers), device=real.device) for _ in range(2))
        for at, span in enumerate(numbers):
            scaled = span.scaled()
            corners = slice(span.begin + 1, span.begin + 1 + scaled.shape[1])
            self.centres[corners, at], self.widths[corners, at] = torch.from_numpy(scaled).float().to(real.device)
        share = torch.from_numpy(weights).to(real.device)
        blocks = [slice(at, at + BLOCK) for at in range(0, len(real), BLOCK)]
        wide = modes.width + len(numbers)
        mean, square = (torch.zeros(wide, dtype=torch.float64, device=real.device) for _ in range(2))
        for block in blocks:
            found, part = self._features(real[block]).double(), share[block]
            mean, square = mean + part @ found, square + part @ found**2
        spread = (square - mean**2).clamp(min=0).sqrt()
        self.taken = spread.argsort(descending=True, stable=True)[:MOST].sort().values
        self.mean = mean[self.taken].float()
        self.spread = spread[self.taken].clamp(min=LEAST_SPREAD).float()
        target = torch.zeros(len(self.taken), len(self.taken), dtype=torch.float64, device=real.device)
        for block in blocks:
            found = self._scaled(real[block]).double()
            target += (found * share[block][:, None]).T @ found
        self.correlations = target.float()

    def apart(self, made: Tensor) -> Tensor:
        """How far made rows' means and correlations are from the real ones', squared: the mean over features of each
        one's sum. Without bias: the product of what either half of the rows is off by, which may be below zero."""
        told = self._scaled(made)
        middle = len(told) // 2
        pair = (told[:middle], told[middle:])
        means = [half.mean(dim=0) for half in pair]
        products = [half.T @ half / len(half) - self.correlations for half in pair]
        return ((means[0] * means[1]).sum() + (products[0] * products[1]).sum()) / told.shape[1]

    def _scaled(self, rows: Tensor) -> Tensor:
        return (self._features(rows)[:, self.taken] - self.mean) / self.spread

    def _features(self, rows: Tensor) -> Tensor:
        """Rows' vectors and, after them, their numbers' values, shape (rows, width + numbers)."""
        return torch.cat([rows, rows @ self.centres + rows[:, self.away] * (rows @ self.widths)], dim=1)
