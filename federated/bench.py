"""Where a silo's net learns: its rows as tensors, one round of training, and what stays there from round to round."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.wire import Arrays, Facts
from federated.job import Job, LocalPlan
from federated.preparation import Preparation
from framework.data.frame import Frame

if TYPE_CHECKING:
    import torch

    from federated.privacy.noisy_steps import NoisySteps
    from framework.training.rows import Rows

BLOCK = 4096  # rows that are answered at once
FINE_BATCH = 32  # rows of a step that a silo makes for itself
LEAST_SURE = 2  # validation rows, below which nothing is more than chance


@dataclass
class Work:
    """What a round made: the update's groups and steps, and facts that a strategy adds."""

    groups: dict[str, Arrays]
    steps: int
    facts: Facts = field(default_factory=dict)


class Bench:
    """kept: what stays in the silo between rounds, by name; strategies and the optimizer put it there.

    private: makes every step where rows are to stay hidden; None: steps are plain ones.
    """

    def __init__(
        self, silo: str, job: Job, preparation: Preparation, net: "torch.nn.Module", train: Frame, valid: Frame
    ):
        """net: of the job; silos of one process share it, since each loads its weights before it begins."""
        encoder = preparation.encoder
        self.silo, self.job, self.net = silo, job, net
        self.loss = encoder.loss(job.metric)
        self.train, self.valid = encoder.rows(train), encoder.rows(valid)
        self.kept: dict[str, Arrays] = {}
        self.private: NoisySteps | None = None
        self.round = 0

    def change(
        self,
        start: Arrays,
        *,
        pull: float = 0.0,
        towards: Arrays | None = None,
        along: Arrays | None = None,
    ) -> Work:
        """Trains for the plan's epochs and tells the change of the weights.

        pull: μ of μ/2 ‖w - towards‖², towards: start by default. along: added to every gradient.
        """
        self.load(start)
        steps = self._learn(self.job.plan.epochs, pull, towards or start, along, "own" if towards else "common")
        after = self.weights()
        return Work({"delta": {name: after[name] - start[name] for name in after}}, steps)

    def fine_tuned(self, start: Arrays, *, epochs: int, rate: float, surety: float) -> Arrays | None:
        """The weights after the epoch that answers the validation rows best; None where that is none of them, or where
        their mean loss is not smaller by `surety` of its standard errors.

        With private steps they are those after the last epoch: choosing one would tell of the validation rows.
        """
        self.load(start)
        if self.private is not None:
            self._learn(epochs, 0.0, start, None, "")
            return self.weights()
        if len(self.valid) < LEAST_SURE:
            return None
        before = self._losses(start, self.valid)
        best, kept = before, None
        plan = replace(self.job.plan, optimizer="adamw", rate=rate, batch=FINE_BATCH)
        self.load(start)
        engine = self.engine(list(self.net.parameters()), plan)
        for epoch in range(epochs):
            self._learn(1, 0.0, start, None, "", salt=epoch, engine=engine, plan=plan)
            weights = self.weights()
            losses = self._losses(weights, self.valid)
            if losses.mean() < best.mean():
                best, kept = losses, weights
        gain = before - best
        sure = gain.mean() > surety * gain.std(ddof=1) / np.sqrt(len(gain))
        return kept if sure else None

    def train_loss(self, weights: Arrays) -> float:
        """The mean loss over the rows to learn from, each counted by its weight."""
        return self._mean_loss(weights, self.train)

    def valid_loss(self, weights: Arrays) -> float:
        """The same over the rows to stop by; nan without any."""
        return self._mean_loss(weights, self.valid)

    def weights(self) -> Arrays:
        """A copy of what travels: parameters, and the running figures of batch norms."""
        return {name: part.detach().numpy().copy() for name, part in travelling(self.net)}

    def load(self, weights: Arrays) -> None:
        load(self.net, weights)

    def norms(self) -> list[str]:
        """The names of the weights of layers that normalise. Raises ValueError for a net that has none."""
        import torch

        kinds = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm, torch.nn.GroupNorm)
        owners = [name for name, module in self.net.named_modules() if isinstance(module, kinds)]
        found = [name for name, _ in travelling(self.net) if name.rpartition(".")[0] in owners]
        if not found:
            raise ValueError(f"the net {self.job.net!r} has no layer that normalises; FedBN is then FedAvg")
        return found

    def _learn(
        self,
        epochs: int,
        pull: float,
        towards: Arrays,
        along: Arrays | None,
        memory: str,
        *,
        salt: int = 0,
        engine: Any = None,
        plan: LocalPlan | None = None,
    ) -> int:
        """The steps made. memory: whose moments of the optimizer are kept, where they are. engine, plan: others than
        the job's."""
        import torch

        if self.private is not None:
            return self.private.learn(self, epochs, pull=pull, towards=towards)
        plan = plan or self.job.plan
        named = dict(self.net.named_parameters())
        anchors = {name: torch.from_numpy(np.array(towards[name])) for name in named} if pull else {}
        added = {name: torch.from_numpy(np.asarray(along[name], dtype=np.float32)) for name in named} if along else {}
        engine = engine or self.engine(list(named.values()))
        if plan.keep and memory:
            self._recall(engine, named, memory)
        seed = self._seed(memory, salt)
        order, steps = np.random.default_rng(seed), 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net.train()
            for _ in range(epochs):
                for places in self._batches(order, plan.batch):
                    part = self.train.take(places)
                    engine.zero_grad(set_to_none=True)
                    error = (self.loss(self.net(part.inputs), part.answers) * part.weights).sum() / part.weights.sum()
                    error.backward()
                    if plan.clip:
                        torch.nn.utils.clip_grad_norm_(list(named.values()), plan.clip)
                    for name, parameter in named.items():
                        if parameter.grad is None:
                            continue
                        if pull:
                            parameter.grad.add_(parameter.detach() - anchors[name], alpha=pull)
                        if added:
                            parameter.grad.add_(added[name])
                    engine.step()
                    steps += 1
        if plan.keep and memory:
            self._remember(engine, named, memory)
        return steps

    def _batches(self, order: np.random.Generator, batch: int) -> "Iterator[torch.Tensor]":
        import torch

        places = torch.from_numpy(order.permutation(len(self.train)))
        return iter(places.split(batch))

    def engine(self, parameters: "list[torch.nn.Parameter]", plan: LocalPlan | None = None) -> Any:
        """The plan's optimizer of these, fresh; the job's plan by default."""
        import torch

        plan = plan or self.job.plan
        if plan.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=plan.rate, weight_decay=plan.weight_decay)
        from framework.training.optimizer import groups

        return torch.optim.AdamW(groups(self.net, plan.weight_decay), lr=plan.rate)

    def _recall(self, engine: Any, named: "dict[str, torch.nn.Parameter]", memory: str) -> None:
        import torch

        for kind, arrays in self.kept.items():
            whose, _, key = kind.partition(": ")
            if whose == memory and key:
                for name, array in arrays.items():
                    engine.state[named[name]][key] = torch.from_numpy(np.array(array))

    def _remember(self, engine: Any, named: "dict[str, torch.nn.Parameter]", memory: str) -> None:
        for name, parameter in named.items():
            for key, value in engine.state.get(parameter, {}).items():
                self.kept[f"{memory}: {key}"] = {
                    **self.kept.get(f"{memory}: {key}", {}),
                    name: value.numpy().copy(),
                }

    def _mean_loss(self, weights: Arrays, rows: "Rows") -> float:
        if not len(rows):
            return float("nan")
        return float(self._losses(weights, rows).sum() / float(rows.weights.double().sum()))

    def _losses(self, weights: Arrays, rows: "Rows") -> np.ndarray:
        """Each row's loss times its weight, float64, shape (rows,)."""
        import torch

        self.load(weights)
        self.net.eval()
        told = []
        with torch.inference_mode():
            for begin in range(0, len(rows), BLOCK):
                part = rows.take(slice(begin, begin + BLOCK))
                told.append((self.loss(self.net(part.inputs), part.answers) * part.weights).double())
        return np.concatenate([part.numpy() for part in told])

    def _seed(self, memory: str, salt: int) -> int:
        told = f"{self.job.seed}|{self.silo}|{self.round}|{memory}|{salt}"
        return int.from_bytes(hashlib.sha256(told.encode()).digest()[:6], "big")


def travelling(net: "torch.nn.Module") -> "list[tuple[str, torch.Tensor]]":
    """The parts of a net that silos learn and exchange: parameters, and the running figures of batch norms."""
    running = [(name, part) for name, part in net.named_buffers() if name.endswith(("running_mean", "running_var"))]
    return [*net.named_parameters(), *running]


def load(net: "torch.nn.Module", weights: Arrays) -> None:
    """Puts these weights into the net. Raises KeyError when one is missing."""
    import torch

    with torch.no_grad():
        for name, part in travelling(net):
            part.copy_(torch.from_numpy(np.array(weights[name])))


def fresh(job: Job, preparation: Preparation, seed: int) -> Arrays:
    """The weights that a net begins with, drawn by a seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = preparation.net(job)
    return {name: part.detach().numpy().copy() for name, part in travelling(net)}
