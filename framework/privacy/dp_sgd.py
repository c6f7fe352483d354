"""DP-SGD: rows drawn by chance, each row's gradient clipped, noise on their sum.

Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang 2016, "Deep Learning with Differential Privacy",
https://arxiv.org/abs/1607.00133; clipping and noise are opacus' own.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.privacy.accountant import PrivacyError

if TYPE_CHECKING:
    import torch

BLOCK = 128  # rows whose gradients are held at once
Gradients = dict[str, "torch.Tensor"]  # of each parameter that learns, shape (rows, …)


class DPSGD:
    """Steps w ← w - optimizer((Σ clip(g_i) + N(0, (noise · clip)² I)) / (rate · rows)).

    optimizer: takes the parameters that learn, and makes what moves them. rate: a row's chance to be in a step, drawn
    from `random`; seed: of the noise. Who knew either could take the noise off.
    """

    def __init__(
        self,
        net: "torch.nn.Module",
        optimizer: "Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]",
        *,
        rows: int,
        rate: float,
        noise: float,
        clip: float,
        random: np.random.Generator,
        seed: int,
    ) -> None:
        import torch
        from opacus.optimizers import DPOptimizer

        self.named = {name: part for name, part in net.named_parameters() if part.requires_grad}
        self.engine = DPOptimizer(
            optimizer(list(self.named.values())),
            noise_multiplier=noise,
            max_grad_norm=clip,
            expected_batch_size=rate * rows,
            generator=torch.Generator().manual_seed(seed),
            secure_mode=True,  # noise whose bits do not tell the sum it was added to (Holohan, Braghin 2021)
        )
        self._rows, self._rate, self._random = rows, rate, random

    def learning_rate(self, rate: float) -> None:
        """Of the steps to come."""
        for group in self.engine.param_groups:
            group["lr"] = rate

    def step(
        self,
        gradients: "Callable[[torch.Tensor], Gradients]",
        adjust: Callable[[], None] | None = None,
    ) -> None:
        """gradients: places of rows, int64 → each row's own. adjust: adds to the noisy gradient what no row tells."""
        import torch

        chosen = torch.from_numpy(np.flatnonzero(self._random.random(self._rows) < self._rate))
        blocks = chosen.split(BLOCK)
        self.engine.zero_grad(set_to_none=True)
        for place, block in enumerate(blocks):
            for name, gradient in gradients(block).items():
                self.named[name].grad_sample = gradient  # type: ignore[attr-defined]
            if place < len(blocks) - 1:
                self.engine.signal_skip_step()
                self.engine.step()
                self.engine.zero_grad(set_to_none=True)
        self.engine.pre_step()
        if adjust is not None:
            adjust()
        self.engine.original_optimizer.step()

    def close(self) -> None:
        """Takes every gradient off the net: nothing of a single row stays with it."""
        for part in self.named.values():
            part.grad = part.grad_sample = part.summed_grad = None  # type: ignore[attr-defined]


def each_gradient(net: "torch.nn.Module", error: "Callable[..., torch.Tensor]", *rows: "torch.Tensor") -> Gradients:
    """Each row's own gradient of its error.

    error: from the net as a function, and what each of `rows` has of one row (without its first axis), shape ().
    """
    import torch
    from torch.func import functional_call, grad, vmap

    learning = {name: part.detach() for name, part in net.named_parameters() if part.requires_grad}
    if not len(rows[0]):
        return {name: torch.zeros(0, *part.shape) for name, part in learning.items()}
    fixed = {name: part for name, part in net.named_parameters() if not part.requires_grad}
    fixed |= dict(net.named_buffers())

    def of_one(weights: Any, *row: Any) -> Any:
        return error(lambda *inputs: functional_call(net, (weights, fixed), inputs), *row)

    told: Gradients = vmap(grad(of_one), in_dims=(None, *(0 for _ in rows)), randomness="different")(learning, *rows)
    return told


def check_net(net: "torch.nn.Module", name: str, instead: str) -> None:
    """Raises PrivacyError naming the layers in which rows see one another, by opacus' own list of them."""
    from opacus.validators import ModuleValidator

    judges = ModuleValidator.VALIDATORS
    wrong = [
        f"{place} ({type(layer).__name__})"
        for place, layer in net.named_modules()
        if type(layer) in judges and judges[type(layer)](layer)
    ]
    if wrong:
        raise PrivacyError(
            f"the net {name!r} cannot be trained with record-level privacy: in its layer(s) {', '.join(wrong)} rows "
            f"may see one another, so that no gradient is one row's own. {instead}"
        )
