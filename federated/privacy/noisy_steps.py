"""DP-SGD inside a silo: rows drawn by chance, each row's gradient clipped, noise on their sum.

Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang 2016, "Deep Learning with Differential Privacy",
https://arxiv.org/abs/1607.00133; clipping and noise are opacus' own.
"""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.wire import Arrays
from federated.privacy.guard import Guard
from federated.privacy.levels import PrivacyError

if TYPE_CHECKING:
    import torch

    from federated.bench import Bench
    from framework.training.rows import Rows

BLOCK = 128  # rows whose gradients are held at once


class NoisySteps:
    """Every step that a silo makes: w ← w - optimizer((Σ clip(g_i) + N(0, (noise · clip)² I)) / (rate · rows)).

    context: of what the net was prepared with. `begin` names the question that the next steps answer.
    """

    def __init__(self, guard: Guard, context: bytes) -> None:
        self.guard = guard
        self._context = hashlib.sha256(context).digest()
        self._question = b""
        self._runs = 0

    def begin(self, question: bytes) -> None:
        self._question, self._runs = hashlib.sha256(self._context + question).digest(), 0

    def learn(self, bench: "Bench", epochs: int, *, pull: float, towards: Arrays) -> int:
        """Trains the bench's net, as far as the budget goes, and tells the steps. Charged before the first one.

        Raises BudgetError where it does not go that far.
        """
        import torch
        from opacus.optimizers import DPOptimizer

        plan, net = self.guard.plan, bench.net
        steps = epochs * plan.pass_steps
        self._runs += 1
        key = self.guard.pay("training", self._question + self._runs.to_bytes(4, "big"), steps)
        drawn = np.random.Generator(np.random.Philox(np.random.SeedSequence(key.tolist())))
        noise = torch.Generator().manual_seed(int(drawn.integers(2**63)))
        named = {name: part for name, part in net.named_parameters() if part.requires_grad}
        anchors = {name: torch.from_numpy(np.array(towards[name])) for name in named} if pull else {}
        engine = DPOptimizer(
            bench.engine(list(named.values())),
            noise_multiplier=plan.noise,
            max_grad_norm=plan.privacy.clip,
            expected_batch_size=plan.rate * len(bench.train),
            generator=noise,
            secure_mode=True,  # noise whose bits do not tell the sum it was added to (Holohan, Braghin 2021)
        )
        net.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(drawn.integers(2**63)))  # of dropout
            for _ in range(steps):
                chosen = torch.from_numpy(np.flatnonzero(drawn.random(len(bench.train)) < plan.rate))
                parts = chosen.split(BLOCK)
                engine.zero_grad(set_to_none=True)
                for place, part in enumerate(parts):
                    for name, gradient in each_gradient(bench, bench.train.take(part)).items():
                        named[name].grad_sample = gradient
                    if place < len(parts) - 1:
                        engine.signal_skip_step()
                        engine.step()
                        engine.zero_grad(set_to_none=True)
                engine.pre_step()
                for name in anchors:
                    named[name].grad.add_(named[name].detach() - anchors[name], alpha=pull)
                engine.original_optimizer.step()
        for part in named.values():
            part.grad = part.grad_sample = part.summed_grad = None
        return steps


def each_gradient(bench: "Bench", rows: "Rows") -> "dict[str, torch.Tensor]":
    """Each row's own gradient of its loss, shape (rows, …) for each parameter that learns."""
    import torch
    from torch.func import functional_call, grad, vmap

    net = bench.net
    learning = {name: part.detach() for name, part in net.named_parameters() if part.requires_grad}
    if not len(rows):
        return {name: torch.zeros(0, *part.shape) for name, part in learning.items()}
    fixed = {name: part for name, part in net.named_parameters() if not part.requires_grad}
    fixed |= dict(net.named_buffers())

    def error(weights: Any, inputs: Any, answer: Any, weight: Any) -> Any:
        outputs = functional_call(net, (weights, fixed), (inputs[None],))
        return (bench.loss(outputs, answer[None]) * weight).sum()

    told: dict[str, torch.Tensor] = vmap(grad(error), in_dims=(None, 0, 0, 0), randomness="different")(
        learning, rows.inputs, rows.answers, rows.weights
    )
    return told


def check_net(net: "torch.nn.Module", name: str) -> None:
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
            f"may see one another, so that no gradient is one row's own. Take a net without them: LayerNorm or "
            f"GroupNorm for BatchNorm, or one of mlp, tabm, ft_transformer."
        )
