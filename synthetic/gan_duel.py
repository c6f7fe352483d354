"""A generator and a critic that learn from one another, as one rank of many has them."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from synthetic.gan_conditions import Conditions
from synthetic.gan_modes import Modes
from synthetic.gan_moments import Moments
from synthetic.gan_net import Critic, Generator, choose, disobedience

if TYPE_CHECKING:
    from framework.training.crew import Crew, State
    from synthetic.gan import GAN

SETTLING = 8  # batches over which the norms' means are taken anew, for the weights as they are


class Duel:
    """Both nets, their optimizers, and the generator's moving mean, which is what draws rows later.

    All ranks are made with the same weights, and step along the mean of their gradients: `gradient penalty` wants a
    gradient of a gradient, which DistributedDataParallel does not give.
    """

    def __init__(self, crew: "Crew", asked: "GAN", real: np.ndarray, conditions: Conditions, modes: Modes) -> None:
        self.crew, self.asked, self.conditions, self.modes = crew, asked, conditions, modes
        self.real = torch.from_numpy(real).to(crew.device)
        self.moments = Moments(self.real, conditions.weights, modes)
        self.shape = {"noise": asked.noise, "inputs": asked.noise + conditions.width, "width": asked.width}
        self.generator = Generator(self.shape["inputs"], modes.width, width=asked.width).to(crew.device)
        self.critic = Critic(modes.width + conditions.width, width=asked.width, pack=asked.pack).to(crew.device)
        self.mean = copy.deepcopy(self.generator)
        rates: dict[str, Any] = {"lr": asked.learning_rate, "betas": (0.5, 0.9), "fused": True}
        self.makers = torch.optim.Adam(self.generator.parameters(), weight_decay=1e-6, **rates)
        self.critics = torch.optim.Adam(self.critic.parameters(), **rates)
        plan = asked.plan
        self.half = plan.half(crew.device)
        self.called: Any = torch.compile(self.generator) if plan.compiled(crew.device) else self.generator
        self.steps = 0

    def step(self, batch: int, rate: float, random: np.random.Generator, *, late: bool) -> bool:
        """One step of the critic and one of the generator, over this rank's share of a batch. Whether any rank is late.

        The same made rows serve both: the critic learns from them first.
        """
        for group in (*self.makers.param_groups, *self.critics.param_groups):
            group["lr"] = rate
        part, token, vector, matching = (each.to(self.crew.device) for each in self.conditions.draw(batch, random))
        logits, made = self._made(vector)
        shuffled = torch.from_numpy(random.permutation(batch)).to(self.crew.device)
        true = torch.cat([self.real[matching][shuffled], vector[shuffled]], dim=1)
        false = torch.cat([made.detach(), vector], dim=1)
        with self._cast():
            error = self.critic(false).float().mean() - self.critic(true).float().mean()
        error = error + self.critic.penalty(true, false)
        self.critics.zero_grad(set_to_none=True)
        error.backward()
        self._average(self.critic)
        self.critics.step()
        with self._cast():
            loss = -self.critic(torch.cat([made, vector], dim=1)).float().mean()
        if self.conditions.width:
            loss = loss + disobedience(logits, self.modes, part, token)
        if self.asked.moments:
            loss = loss + self.asked.moments * self.moments.apart(made)
        self.makers.zero_grad(set_to_none=True)
        loss.backward()
        late = self._average(self.generator, late=late)
        self.makers.step()
        self.steps += 1
        memory = min(self.asked.memory, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.generator.parameters()), 1 - memory)
        return late

    def settled(self, batch: int, random: np.random.Generator) -> Generator:
        """The mean generator, its norms' means and spreads taken anew over batches as they are drawn later: what it
        remembers is of other weights, and of conditions made even."""
        made: Generator = copy.deepcopy(self.mean)
        norms = [module for module in made.modules() if isinstance(module, torch.nn.BatchNorm1d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean of all batches
        with torch.no_grad():
            for _ in range(SETTLING):
                vector = self.conditions.draw(batch, random, even=False)[2].to(self.crew.device)
                made(torch.cat([torch.randn(batch, self.asked.noise, device=self.crew.device), vector], dim=1))
        made.cpu().eval()
        return made

    def finite(self) -> bool:
        return all(bool(torch.isfinite(part).all()) for part in self.mean.parameters())

    def state(self) -> "State":
        """All that it goes on from."""
        nets = {name: getattr(self, name).state_dict() for name in ("generator", "critic", "mean")}
        return nets | {"makers": self.makers.state_dict(), "critics": self.critics.state_dict(), "steps": self.steps}

    def restore(self, kept: "State") -> None:
        """Puts back what `state` told."""
        for name in ("generator", "critic", "mean", "makers", "critics"):
            getattr(self, name).load_state_dict(kept[name])
        self.steps = kept["steps"]

    def _made(self, vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the generator answers to conditions, and the rows' vectors that this comes to."""
        with self._cast():
            noise = torch.randn(len(vector), self.asked.noise, device=vector.device)
            logits = self.called(torch.cat([noise, vector], dim=1)).float()
        return logits, choose(logits, self.modes, torch.rand_like(logits))

    def _cast(self) -> Any:
        return torch.autocast(self.crew.device.type, torch.bfloat16, enabled=self.half)

    def _average(self, net: torch.nn.Module, *, late: bool = False) -> bool:
        """Makes gradients the ranks' mean; on the way they tell one another whether one is late."""
        if self.crew.size == 1:
            return late
        gradients = [part.grad for part in net.parameters() if part.grad is not None]
        told = torch.tensor([float(late)], device=self.crew.device)
        flat = self.crew.total(torch.cat([*(each.flatten() for each in gradients), told])) / self.crew.size
        begin = 0
        for each in gradients:
            each.copy_(flat[begin : begin + each.numel()].view_as(each))
            begin += each.numel()
        return bool(flat[-1] > 0)
