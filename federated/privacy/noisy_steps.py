"""The steps that a silo makes with its rows hidden: paid for before the first one."""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.wire import Arrays
from federated.privacy.guard import Guard
from framework.privacy.dp_sgd import DPSGD, Gradients, each_gradient

if TYPE_CHECKING:
    import torch

    from federated.bench import Bench


class NoisySteps:
    """Every step that a silo makes, by DP-SGD.

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

        plan, net = self.guard.plan, bench.net
        steps = epochs * plan.pass_steps
        self._runs += 1
        key = self.guard.pay("training", self._question + self._runs.to_bytes(4, "big"), steps)
        drawn = np.random.Generator(np.random.Philox(np.random.SeedSequence(key.tolist())))
        learner = DPSGD(
            net, bench.engine, rows=len(bench.train), rate=plan.rate, noise=plan.noise, clip=plan.privacy.clip,
            random=drawn, seed=int(drawn.integers(2**63)),
        )  # fmt: skip
        anchors = {name: torch.from_numpy(np.array(towards[name])) for name in learner.named} if pull else {}

        def pulled() -> None:
            for name, anchor in anchors.items():
                part = learner.named[name]
                assert part.grad is not None  # the noisy one
                part.grad.add_(part.detach() - anchor, alpha=pull)

        net.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(drawn.integers(2**63)))  # of dropout
            for _ in range(steps):
                learner.step(lambda places: row_gradients(bench, places), pulled)
        learner.close()
        return steps


def row_gradients(bench: "Bench", places: "torch.Tensor") -> Gradients:
    """Each of these rows' own gradient of its loss."""
    rows = bench.train.take(places)

    def error(net: Any, inputs: Any, answer: Any, weight: Any) -> Any:
        return (bench.loss(net(inputs[None]), answer[None]) * weight).sum()

    return each_gradient(bench.net, error, rows.inputs, rows.answers, rows.weights)
