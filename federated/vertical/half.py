"""One party's part of a net at work: rows in, embeddings out, gradients back."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from cluster.wire import Arrays
from federated.net_weights import taken
from federated.vertical.holding import Holding
from federated.vertical.kept import Kept
from federated.vertical.plan import NetPlan
from framework.contenders.net_rows import LEARN_ROWS

LOOKING = -1  # the step of embeddings from which nothing is learned


class StepError(RuntimeError):
    """A gradient that does not belong to what was told last."""


class Half:
    """The bottom net over a party's common rows, with its optimizer."""

    def __init__(self, holding: Holding, rows: np.ndarray, learn: np.ndarray, plan: NetPlan) -> None:
        """rows: of the holding, those that count, in the agreed order. learn: places in them, to learn columns by."""
        import torch

        from federated.vertical.nets import Bottom
        from framework.training.optimizer import groups

        encoder = holding.encoder
        self._holding, self._plan = holding, plan
        self._inputs = torch.from_numpy(encoder.inputs(holding.X)[rows])
        with seeded(holding.seed, holding.name, "weights"):
            self.net = Bottom(encoder.cards, plan)
        least = holding.policy.minimum_count
        self.net.learn(in_stretches(self._inputs.numpy()[learn[:LEARN_ROWS]], encoder.cards, least))
        self._engine = torch.optim.AdamW(groups(self.net, plan.weight_decay), lr=plan.rate)
        self._told: tuple[int, torch.Tensor] = (LOOKING, torch.empty(0))
        self.kept = Kept(self.net, self._engine)

    def embed(self, places: np.ndarray, step: int = LOOKING) -> np.ndarray:
        """Embeddings of these rows, shape (places, embedding), float32. step: of training, whose gradient shall follow;
        LOOKING: nothing is learned of these."""
        import torch

        rows = self._inputs[torch.from_numpy(np.array(places))]
        if step == LOOKING:
            self.net.eval()
            with torch.inference_mode():
                return np.asarray(self.net(rows).numpy())
        self.net.train()
        with seeded(self._holding.seed, self._holding.name, step):  # of dropout
            told = self.net(rows)
        self._told = (step, told)
        return np.asarray(told.detach().numpy())

    def descend(self, gradient: np.ndarray, step: int) -> None:
        """One step of the optimizer. gradient: of the loss by the embeddings that `step` told, in their shape.

        Raises StepError for another step, another shape, or numbers that are not finite.
        """
        import torch

        told_at, told = self._told
        if told_at != step or step == LOOKING or tuple(told.shape) != gradient.shape or not np.isfinite(gradient).all():
            raise StepError(f"a gradient of step {step}, shape {gradient.shape}, to the embeddings of step {told_at}")
        self._engine.zero_grad(set_to_none=True)
        told.backward(torch.from_numpy(np.array(gradient, dtype=np.float32)))
        self._engine.step()
        self._told = (LOOKING, torch.empty(0))

    def weights(self) -> Arrays:
        """All of the net, what it knows of the columns too."""
        return taken(self.net.state_dict().items())


def in_stretches(sample: np.ndarray, cards: Sequence[int], least: int) -> np.ndarray:
    """The sample with each number told as the mean of `least` neighbours in its column, or more: a net keeps where its
    columns lie, and a median is else one row's own value. What fewer rows have is not told at all.

    sample: shape (rows, columns), nan for no value. cards: for each column how many categories it has, 0 for a number.
    """
    told = sample.astype(np.float64)
    for place in np.flatnonzero(np.array(cards) == 0):
        known = np.flatnonzero(np.isfinite(told[:, place]))
        known = known[np.argsort(told[known, place], kind="stable")]
        if len(known) < least:
            told[known, place] = np.nan
        elif least > 1:
            for rows in np.array_split(known, len(known) // least):
                told[rows, place] = told[rows, place].mean()
    return told.astype(sample.dtype)


@contextmanager
def seeded(*told: object) -> Iterator[None]:
    """Torch draws by what is told, and goes on afterwards as if nothing had been drawn."""
    import torch

    digest = hashlib.sha256("|".join(map(str, told)).encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(digest[:6], "big"))
        yield
