"""The default engine: an order-agnostic autoregressive net. Exact conditions on any columns; fills in what is missing.

No rejection: a known column is shown to the net, the others are drawn one by one, each given all before it, in several
orders (`ar_draw`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted, fit_by
from synthetic.synthesizer import Allowed, seeded, within

if TYPE_CHECKING:
    from synthetic.ar_net import ArNet
    from synthetic.ar_ready import Ready

WEIGHTS, CARD = "net.safetensors", "ar.json"
ORDERS = 4  # that a row's probability is told by


@dataclass(frozen=True)
class AR:
    """A masked net over tokens, its weights' moving mean, stopped early by rows held out.

    epochs: at most; patience: looks at the held-out rows without gain before it stops, 0 to make all epochs.
    width: None: 128, or 192 for more than 40 columns. batch: of all workers together; None: 16 to 128, as rows allow.
    held: share of rows to stop by.
    workers: processes of Ray Train, from 2; one trains here.
    """

    width: int | None = None
    blocks: int = 2
    dropout: float = 0.15
    epochs: int = 60
    patience: int = 12
    batch: int | None = None
    learning_rate: float = 0.002
    weight_decay: float = 0.4
    held: float = 0.1
    workers: int = 1
    name: str = "ar"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources(workers=self.workers, apart=self.workers > 1)

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> Fitted:
        """As `Synthesizer.fit`."""
        from synthetic.ar_training import train_net

        return fit_by(self, frame, constraints, context, lambda rows, given: ArCore(*train_net(self, rows, given)))


class ArCore:
    """A trained net, and how it was shaped."""

    exact: ClassVar[bool] = True

    def __init__(self, net: "ArNet", shape: dict[str, object]) -> None:
        self.net, self.shape = net.eval(), shape

    @cached_property
    def ready(self) -> "Ready":
        """The net as rows are drawn of it."""
        from synthetic.ar_ready import Ready

        return Ready.of(self.net)

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        from synthetic.ar_draw import drawn

        if all(len(mask) == 1 for mask in allowed.values()):
            return drawn(self.ready, rows, allowed, seed)
        parts = len(self.net.cards)
        return self.fill(np.zeros((rows, parts)), np.zeros((rows, parts), dtype=bool), allowed, seed)

    def fill(self, places: np.ndarray, known: np.ndarray, allowed: Allowed, seed: int) -> np.ndarray:
        """As `Filling.fill`: parts that are bound go first, the others in an order drawn by the seed."""
        import torch

        from synthetic.ar_draw import CHUNK, picked, upto

        random, net = seeded(seed), self.net
        tokens = torch.from_numpy(places.astype(np.int64))
        order = random.permutation(len(net.cards))
        order = np.concatenate([[at for at in order if at in allowed], [at for at in order if at not in allowed]])
        with torch.inference_mode():
            codes = net.codes()
            first = net.seen(tokens, torch.from_numpy(known).float())
            for at in order.astype(int):
                rows = np.flatnonzero(~known[:, at])
                draws = torch.from_numpy(random.random(len(rows), dtype=np.float32))
                bound = allowed.get(at)
                for begin in range(0, len(rows), CHUNK):
                    some = torch.from_numpy(rows[begin : begin + CHUNK])
                    mask = None if bound is None else torch.from_numpy(bound if len(bound) == 1 else bound[some])
                    sums = upto(net.logits(net.hidden(first[some]), at), mask)
                    found = picked(sums, draws[begin : begin + CHUNK])
                    tokens[some, at] = found
                    first.index_add_(0, some, codes[found + net.offsets[at]])
        return np.where(known, places, within(tokens.numpy().astype(np.float64), random))

    def log_likelihood(self, places: np.ndarray) -> np.ndarray:
        """As `Filling.log_likelihood`: of a mixture of a few orders of the columns, as rows are drawn."""
        import torch

        from synthetic.ar_draw import CHUNK

        tokens, net = torch.from_numpy(places.astype(np.int64)), self.net
        told = torch.zeros(ORDERS, len(tokens), dtype=torch.float64)
        with torch.inference_mode():
            codes = net.codes()
            for number in range(ORDERS):
                order = seeded(number).permutation(len(net.cards))
                for begin in range(0, len(tokens), CHUNK):
                    piece = tokens[begin : begin + CHUNK]
                    first = torch.zeros(len(piece), codes.shape[1])
                    for at in order:
                        logs = net.logits(net.hidden(first), at).log_softmax(dim=1)
                        told[number, begin : begin + CHUNK] += logs.gather(1, piece[:, at : at + 1])[:, 0]
                        first += codes[piece[:, at] + net.offsets[at]]
        return np.asarray(told.logsumexp(dim=0) - np.log(ORDERS))

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: part.contiguous() for name, part in self.net.state_dict().items()}, folder / WEIGHTS)
        (folder / CARD).write_text(json.dumps(self.shape), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.torch import load_file

        from synthetic.ar_net import ArNet

        shape = json.loads((folder / CARD).read_text(encoding="utf-8"))
        net = ArNet(**shape)
        net.load_state_dict(load_file(folder / WEIGHTS))
        return cls(net, shape)
