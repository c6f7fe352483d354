"""How the GAN is trained: by sampling, so that rare categories are seen as often as their logarithm asks."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.contender import Context, OutOfTimeError
from synthetic.gan import GANCore
from synthetic.gan_modes import Modes
from synthetic.synthesizer import Learned, seeded, shares

if TYPE_CHECKING:
    import torch

    from synthetic.gan import GAN
    from synthetic.gan_net import Generator

HELD = 0.1  # share of the rows that likeness is told by
LEAST_HELD = 50
SETTLING = 40  # batches over which the norms' means are taken anew, for the weights as they are
SPARE_SHARE = 0.05


def train_gan(asked: "GAN", rows: Learned, context: Context) -> GANCore:
    """The generator that drew the rows most alike to those held out. Raises OutOfTimeError before its first look."""
    import torch

    from synthetic.gan_net import Critic, Generator, choose, disobedience

    torch.set_num_threads(context.threads)
    random = seeded(context.seed, 2)
    order = random.permutation(len(rows))
    held = order[: max(LEAST_HELD, round(HELD * len(rows)))]
    kept = order if len(rows) < 4 * LEAST_HELD else order[len(held) :]
    learned = Learned(rows.places[kept], rows.cards, rows.codecs)
    modes = Modes.learn(learned, context.seed)
    conditions = Conditions(learned, modes)
    real = torch.from_numpy(modes.encode(learned, random))
    batch = min(asked.batch, max(2, len(learned) // asked.pack)) // asked.pack * asked.pack or asked.pack
    shape = {"noise": asked.noise, "inputs": asked.noise + conditions.width, "width": asked.width}
    steps = asked.epochs * max(1, len(learned) // batch)
    every = max(1, steps // asked.looks)
    end = context.remaining() * (1 - SPARE_SHARE)
    best: tuple[float, GANCore] | None = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        generator = Generator(shape["inputs"], modes.width, width=asked.width)
        critic = Critic(modes.width + conditions.width, width=asked.width, pack=asked.pack)
        rates: dict[str, Any] = {"lr": asked.learning_rate, "betas": (0.5, 0.9), "fused": True}
        makers = torch.optim.Adam(generator.parameters(), weight_decay=1e-6, **rates)
        critics = torch.optim.Adam(critic.parameters(), **rates)

        def made(vector: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
            logits = generator(torch.cat([torch.randn(len(vector), asked.noise), vector], dim=1))
            return logits, choose(logits, modes, torch.rand_like(logits))

        def core() -> GANCore:
            return GANCore(copy.deepcopy(generator), modes, rows.codecs, conditions.shares, shape)

        for step in range(steps):
            part, token, vector, matching = conditions.draw(batch, random)
            with torch.no_grad():
                fake = made(vector)[1]
            shuffled = torch.from_numpy(random.permutation(batch))
            true = torch.cat([real[matching][shuffled], vector[shuffled]], dim=1)
            false = torch.cat([fake, vector], dim=1)
            error = critic(false).mean() - critic(true).mean() + critic.penalty(true, false)
            critics.zero_grad(set_to_none=True)
            error.backward()
            critics.step()
            part, token, vector, _ = conditions.draw(batch, random)
            logits, fake = made(vector)
            loss = -critic(torch.cat([fake, vector], dim=1)).mean()
            if conditions.width:
                loss = loss + disobedience(logits, modes, part, token)
            makers.zero_grad(set_to_none=True)
            loss.backward()
            makers.step()
            gone = (step + 1) / steps
            late = context.remaining() - (end / (1 - SPARE_SHARE) - end) < 0 if end != float("inf") else False
            if (step + 1) % every == 0 or late:
                _settle(generator, lambda: made(conditions.draw(batch, random, even=False)[2]))
                score = _alike(core(), rows.places[held], context.seed)
                context.report(step + 1, alike=score, done=gone)
                if best is None or score > best[0]:
                    best = (score, core())
            if late:
                break
    if best is None:
        raise OutOfTimeError("the time was too short for the GAN's first look. Give it more minutes.")
    return best[1]


class Conditions:
    """Conditional vectors, and real rows that meet them. shares: part → each token's share, but of numbers."""

    def __init__(self, rows: Learned, modes: Modes) -> None:
        tokens = rows.tokens
        self.parts = [at for at, span in enumerate(modes.spans) if not span.distance and span.choices > 1]
        self.shares = {at: shares(tokens[:, at], int(rows.cards[at]), 0.0) for at in self.parts}
        self.logs = {at: np.log1p(len(rows) * share) for at, share in self.shares.items()}
        self.begins = dict(zip(self.parts, np.cumsum([0, *(len(self.shares[at]) for at in self.parts)]), strict=False))
        self.width = sum(len(share) for share in self.shares.values())
        self.rows = {at: np.argsort(tokens[:, at], kind="stable") for at in self.parts}
        self.ends = {at: np.bincount(tokens[:, at], minlength=int(rows.cards[at])).cumsum() for at in self.parts}
        self.count = len(rows)

    def draw(
        self, batch: int, random: np.random.Generator, *, even: bool = True
    ) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]":
        """Each row's part and token, the vectors, and rows that meet them. even: by the logarithm of their counts."""
        import torch

        vector = np.zeros((batch, self.width), dtype=np.float32)
        token = np.zeros(batch, dtype=np.int64)
        matching = random.integers(0, self.count, batch)
        part = random.choice(self.parts, batch) if self.parts else np.zeros(batch, dtype=np.int64)
        for at in self.parts:
            mine = np.flatnonzero(part == at)
            chances = self.logs[at] if even else self.shares[at]
            picked = random.choice(len(chances), len(mine), p=chances / chances.sum())
            vector[mine, self.begins[at] + picked], token[mine] = 1, picked
            first = np.where(picked > 0, self.ends[at][picked - 1], 0)
            spot = first + (random.random(len(mine)) * (self.ends[at][picked] - first)).astype(np.int64)
            matching[mine] = self.rows[at][spot]
        return torch.from_numpy(part), torch.from_numpy(token), torch.from_numpy(vector), torch.from_numpy(matching)


def _settle(generator: "Generator", make: Any) -> None:
    """Takes the norms' means and spreads anew over batches as they are drawn later: what they remember from training is
    of other weights, and of conditions made even."""
    import torch

    norms = [module for module in generator.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean of all batches
    with torch.no_grad():
        for _ in range(SETTLING):
            make()
    for norm in norms:
        norm.momentum = 0.1


def _alike(core: GANCore, held: np.ndarray, seed: int) -> float:
    """Mean likeness of all columns and pairs of tokens, coarse for numbers, between as many drawn rows and these."""
    drawn = core.draw(4 * len(held), {}, seed)
    coarse = [_coarse(places, held) for places in (held, drawn)]
    told = []
    for a in range(held.shape[1]):
        for b in range(a, held.shape[1]):
            joined = [codes[:, a] * 64 + codes[:, b] for codes in coarse]
            counts = [np.bincount(each, minlength=64 * 64) / len(each) for each in joined]
            told.append(1 - np.abs(counts[0] - counts[1]).sum() / 2)
    return float(np.mean(told))


def _coarse(places: np.ndarray, like: np.ndarray) -> np.ndarray:
    """At most 64 codes a column, shape as given."""
    coded = np.empty(places.shape, dtype=np.int64)
    for at in range(places.shape[1]):
        edges = np.unique(np.quantile(np.floor(like[:, at]), np.linspace(0, 1, 9)[1:]))
        coded[:, at] = np.searchsorted(edges, np.floor(places[:, at]))
    return coded
