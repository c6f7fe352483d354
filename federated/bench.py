"""Where a silo's net learns: its rows as tensors, one round of training, and what stays there from round to round."""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.wire import Arrays, Facts
from federated.engine import Engine, engine, moments, optimizer, recall
from federated.job import Job, LocalPlan
from federated.local_steps import LocalSteps, shuffled
from federated.net_weights import put, taken, travelling
from federated.preparation import Preparation
from framework.data.frame import Frame

if TYPE_CHECKING:
    import torch

    from federated.privacy.noisy_steps import NoisySteps
    from framework.training.rows import Rows

BLOCK = 4096  # rows that are answered at once
FINE_BATCH = 32  # rows of a step that a silo makes for itself
LEAST_SURE = 2  # validation rows, below which nothing is more than chance
LEAST_GROUPS = 8  # the same, of groups of rows that hang together


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
        self._parts = travelling(net)
        self.loss = encoder.loss(job.metric)
        self.train, self.valid = encoder.rows(train), encoder.rows(valid)
        self._group = valid.group
        self._train, self._valid = _laid_out(net, self.train), _laid_out(net, self.valid)
        self.train_weight, self.valid_weight = (float(r.weights.double().sum()) for r in (self.train, self.valid))
        self.kept: dict[str, Arrays] = {}
        self.private: NoisySteps | None = None
        self.round = 0
        self.tuned = 0  # epochs that the weights of its own were trained on for, of the common ones

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
        """The weights after the epoch that answers the validation rows best, which `tuned` tells; None where that is
        none of them, or where their mean loss is not smaller by `surety` of its standard errors. Rows of one group are
        one to it: windows of one spell of a series say together what one of them says.

        With private steps they are those after the last epoch: choosing one would tell of the validation rows.
        """
        self.tuned = 0
        self.load(start)
        if self.private is not None:
            self._learn(epochs, 0.0, start, None, "")
            return self.weights()
        if len(self.valid) < LEAST_SURE or (self._group is not None and len(set(self._group)) < LEAST_GROUPS):
            return None
        before = self._losses(start, self._valid)
        best, kept, after = before, None, 0
        for epoch, weights in self._tuning(start, epochs, rate):
            losses = self._losses(weights, self._valid)
            if losses.mean() < best.mean():
                best, kept, after = losses, weights, epoch
        gain = _by_group(before - best, self._group)
        if not gain.mean() > surety * gain.std(ddof=1) / np.sqrt(len(gain)):
            return None
        self.tuned = after
        return kept

    def trained_on(self, start: Arrays, *, epochs: int, rate: float) -> Arrays | None:
        """The weights after so many epochs of what `fine_tuned` does, whatever they answer; None after none."""
        self.tuned = epochs
        last = deque(self._tuning(start, epochs, rate), maxlen=1)
        return last[0][1] if last else None

    def _tuning(self, start: Arrays, epochs: int, rate: float) -> Iterator[tuple[int, Arrays]]:
        """The epochs made, and the weights after them, with which the net is loaded when the next begins."""
        plan = replace(self.job.plan, optimizer="adamw", rate=rate, batch=FINE_BATCH)
        self.load(start)
        made = engine(self.net, plan)
        for epoch in range(epochs):
            self._learn(1, 0.0, start, None, "", salt=epoch, made=made, plan=plan)
            yield epoch + 1, self.weights()

    def train_loss(self, weights: Arrays) -> float:
        """The mean loss over the rows to learn from, each counted by its weight."""
        return self._mean_loss(weights, self._train, self.train_weight)

    def valid_loss(self, weights: Arrays) -> float:
        """The same over the rows to stop by; nan without any."""
        return self._mean_loss(weights, self._valid, self.valid_weight)

    def weights(self) -> Arrays:
        """A copy of what travels: parameters, and the running figures of batch norms."""
        return taken(self._parts)

    def load(self, weights: Arrays) -> None:
        put(self._parts, weights)

    def norms(self) -> list[str]:
        """The names of the weights of layers that normalise. Raises ValueError for a net that has none."""
        import torch

        kinds = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm, torch.nn.GroupNorm)
        owners = [name for name, module in self.net.named_modules() if isinstance(module, kinds)]
        found = [name for name, _ in self._parts if name.rpartition(".")[0] in owners]
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
        made: Engine | None = None,
        plan: LocalPlan | None = None,
    ) -> int:
        """The steps made. memory: whose moments of the optimizer are kept, where they are. made, plan: an engine and
        settings other than the job's."""
        import torch

        if self.private is not None:
            return self.private.learn(self, epochs, pull=pull, towards=towards)
        plan = plan or self.job.plan
        mover = made or engine(self.net, plan)
        if plan.keep and memory:
            recall(mover, self.net, self._kept_of(memory))
        steps = LocalSteps(self.net, self.loss, mover, clip=plan.clip, pull=pull, towards=towards, along=along)
        seed = self._seed(memory, salt)
        order, count = np.random.default_rng(seed), 0
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # manual_seed looks for devices too, as long as a third of a step
            self.net.train()
            for _ in range(epochs):
                count += steps.make(shuffled(self.net, self._train, order, plan.batch))
        if plan.keep and memory:
            told = moments(mover, self.net)
            self.kept |= {f"{memory}: {key}": {**self.kept.get(f"{memory}: {key}", {}), **told[key]} for key in told}
        return count

    def _kept_of(self, memory: str) -> dict[str, Arrays]:
        begin = f"{memory}: "
        return {kind.removeprefix(begin): arrays for kind, arrays in self.kept.items() if kind.startswith(begin)}

    def engine(self, parameters: "list[torch.nn.Parameter]") -> Any:
        """The plan's optimizer of these, fresh, as torch has it."""
        return optimizer(self.net, parameters, self.job.plan)

    def _mean_loss(self, weights: Arrays, rows: "Rows", weight: float) -> float:
        if not len(rows):
            return float("nan")
        return float(self._losses(weights, rows).sum() / weight)

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


def _by_group(values: np.ndarray, group: np.ndarray | None) -> np.ndarray:
    """The sum of each group's values; without groups the values."""
    return values if group is None else np.bincount(np.unique(group, return_inverse=True)[1], weights=values)


def _laid_out(net: "torch.nn.Module", rows: "Rows") -> "Rows":
    """What the net makes of them without a weight, once for all rounds; where they are many, block by block later."""
    return replace(rows, inputs=net.columns.placed(rows.inputs)) if 0 < len(rows) <= BLOCK else rows
