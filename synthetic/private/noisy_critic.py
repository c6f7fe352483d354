"""How the private GAN is trained: noisy steps of a critic of single rows, and a generator that follows it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from framework.contender import Context
from framework.privacy.accountant import Spend
from framework.privacy.dp_sgd import DPSGD, Gradients, check_net, each_gradient
from synthetic.gan import GANCore
from synthetic.gan_modes import Modes, Span
from synthetic.gan_net import Generator, choose, disobedience

if TYPE_CHECKING:
    from synthetic.private.noisy_gan import NoisyGAN

SLOPE = 1.0  # the most that a layer of the critic may stretch what goes into it
BETAS = (0.5, 0.9)
INSTEAD = "Leave such layers out."


def train_noisy_gan(
    asked: "NoisyGAN",
    tokens: np.ndarray,
    shares: Sequence[np.ndarray],
    planned: Spend,
    context: Context,
    random: np.random.Generator,
) -> tuple[GANCore, int]:
    """The generator, and how many steps of the critic were taken: those planned, or what the deadline leaves.

    tokens: int64, shape (rows, parts). shares: noisy ones, of each part's tokens, summing to 1.
    """
    torch.set_num_threads(context.threads)
    cards = [len(each) for each in shares]
    offsets = np.cumsum([0, *cards])
    modes = Modes(tuple(Span(int(begin), False, card) for begin, card in zip(offsets, cards, strict=False)))
    real = hot(torch.from_numpy(tokens), offsets)
    shape = {"noise": asked.noise, "inputs": asked.noise + modes.width, "width": asked.width}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(random.integers(2**63)))
        generator = Generator(shape["inputs"], modes.width, width=asked.width)
        critic = critic_of(2 * modes.width, asked.width)
        check_net(critic, asked.name, INSTEAD)
        makers = torch.optim.Adam(generator.parameters(), lr=asked.learning_rate, betas=BETAS)
        learner = DPSGD(
            critic, lambda parts: torch.optim.Adam(parts, lr=asked.learning_rate, betas=BETAS), rows=len(tokens),
            rate=planned.rate, noise=planned.noise, clip=asked.clip, random=random, seed=int(random.integers(2**63)),
        )  # fmt: skip

        def conditions() -> tuple[Tensor, Tensor, Tensor]:
            """A part for each row of a batch, its token by noisy shares, and both as a vector."""
            part = random.integers(0, len(cards), asked.batch)
            token = np.array([random.choice(cards[at], p=shares[at]) for at in part])
            vector = torch.zeros(asked.batch, modes.width)
            vector[torch.arange(asked.batch), torch.from_numpy(offsets[part] + token)] = 1.0
            return torch.from_numpy(part), torch.from_numpy(token), vector

        def logits_of(vector: Tensor) -> Tensor:
            made: Tensor = generator(torch.cat([torch.randn(len(vector), asked.noise), vector], dim=1))
            return made

        def of_real(places: Tensor) -> Gradients:
            """Each real row is seen with a token of its own as its condition."""
            part = torch.from_numpy(random.integers(0, len(cards), len(places)))
            begin, end = torch.from_numpy(offsets)[part, None], torch.from_numpy(offsets)[part + 1, None]
            span = torch.arange(modes.width)[None]
            shown = real[places] * ((span >= begin) & (span < end))
            return each_gradient(critic, lambda net, row: -net(row[None]).sum(), torch.cat([real[places], shown], 1))

        def of_made() -> None:
            """Made rows tell of no real one: clipped alike, and without noise."""
            with torch.no_grad():
                vector = conditions()[2]
                logits = logits_of(vector)
                rows = torch.cat([choose(logits, modes, torch.rand_like(logits)), vector], dim=1)
            each = each_gradient(critic, lambda net, row: net(row[None]).sum(), rows)
            norms = torch.stack([part.flatten(1).square().sum(dim=1) for part in each.values()]).sum(dim=0).sqrt()
            scale = (asked.clip / norms.clamp(min=1e-9)).clamp(max=1.0)
            for name, part in each.items():
                held = learner.named[name].grad
                assert held is not None  # the noisy one
                held.add_(torch.einsum("r,r...->...", scale, part) / len(rows))

        done = 0
        while done < planned.steps and context.remaining() > 0:
            learner.step(of_real, of_made)
            bound(critic)
            done += 1
            if done % asked.turns:
                continue
            part, token, vector = conditions()
            logits = logits_of(vector)
            fake = choose(logits, modes, torch.rand_like(logits))
            loss = disobedience(logits, modes, part, token) - critic(torch.cat([fake, vector], dim=1)).mean()
            makers.zero_grad(set_to_none=True)
            loss.backward()
            makers.step()
    learner.close()
    return GANCore(generator, modes, (None,) * len(cards), dict(enumerate(shares)), shape), done


def critic_of(inputs: int, width: int) -> nn.Sequential:
    """How real a row looks beside its condition, shape (rows, 1): without packs and norms, each row is seen alone."""
    critic = nn.Sequential(
        nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
    )
    bound(critic)
    return critic


def bound(critic: nn.Module) -> None:
    """Scales each layer down to a spectral norm of `SLOPE`, in place of a penalty on gradients, which would need those
    of two rows at once (Miyato et al. 2018, https://arxiv.org/abs/1802.05957, with the norm itself)."""
    with torch.no_grad():
        for layer in critic.modules():
            if isinstance(layer, nn.Linear):
                norm = torch.linalg.matrix_norm(layer.weight, ord=2)
                layer.weight.div_((norm / SLOPE).clamp(min=1.0))


def hot(tokens: Tensor, offsets: np.ndarray) -> Tensor:
    """Tokens as ones and zeros, float, shape (rows, sum of cards)."""
    empty = torch.zeros(len(tokens), int(offsets[-1]))
    return empty.scatter_(1, tokens + torch.from_numpy(offsets[:-1]), 1.0)
