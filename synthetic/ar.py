"""The default engine: an order-agnostic autoregressive net. Exact conditions on any columns; fills in what is missing.

No rejection: a known column is shown to the net, the others are drawn one by one, each given all before it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted, learn
from synthetic.synthesizer import Allowed, seeded, within

if TYPE_CHECKING:
    import torch

    from synthetic.ar_net import ArNet

WEIGHTS, CARD = "net.safetensors", "ar.json"
ORDERS = 4  # in which a row's probability is told; their mean counts
CHUNK = 8_192  # rows that a net answers at once


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

        given = context or Context()
        return learn(
            frame,
            constraints,
            lambda rows: ArCore(*train_net(self, rows, given)),
            engine=self.name,
            seed=given.seed,
            licence=self.licence,
        )


class ArCore:
    """A trained net, and how it was shaped."""

    exact: ClassVar[bool] = True

    def __init__(self, net: "ArNet", shape: dict[str, object]) -> None:
        self.net, self.shape = net.eval(), shape

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        parts = len(self.net.cards)
        return self.fill(np.zeros((rows, parts)), np.zeros((rows, parts), dtype=bool), allowed, seed)

    def fill(self, places: np.ndarray, known: np.ndarray, allowed: Allowed, seed: int) -> np.ndarray:
        """As `Filling.fill`: parts that are bound go first, the others in an order drawn by the seed."""
        import torch

        random = seeded(seed)
        tokens = torch.from_numpy(places.astype(np.int64))
        order = random.permutation(len(self.net.cards))
        order = np.concatenate([[at for at in order if at in allowed], [at for at in order if at not in allowed]])
        fresh = ~known
        with torch.inference_mode():
            codes = self.net.codes()
            first = self.net.seen(tokens, torch.from_numpy(known).float())
            for at in order.astype(int):
                rows = np.flatnonzero(fresh[:, at])
                if not len(rows):
                    continue
                bound = allowed.get(at)
                mask = None if bound is None else torch.from_numpy(bound if len(bound) == 1 else bound[rows])
                whole = len(rows) == len(tokens)
                picked = torch.from_numpy(rows)
                draws = torch.from_numpy(random.random(len(rows), dtype=np.float32))
                found = self._pick(first if whole else first[picked], at, mask, draws)
                tokens[picked, at] = found
                first.index_add_(0, picked, codes[found + self.net.offsets[at]])
        return np.where(known, places, within(tokens.numpy().astype(np.float64), random))

    def log_likelihood(self, places: np.ndarray) -> np.ndarray:
        """As `Filling.log_likelihood`: the mean over a few orders of the columns."""
        import torch

        tokens = torch.from_numpy(places.astype(np.int64))
        told = np.zeros(len(tokens))
        parts = len(self.net.cards)
        with torch.inference_mode():
            codes = self.net.codes()
            for number in range(ORDERS):
                order = seeded(number).permutation(parts)
                for begin in range(0, len(tokens), CHUNK):
                    piece = tokens[begin : begin + CHUNK]
                    first = torch.zeros(len(piece), codes.shape[1])
                    for at in order:
                        logs = self._logits(first, at).log_softmax(dim=1)
                        told[begin : begin + CHUNK] += logs.gather(1, piece[:, at : at + 1])[:, 0].numpy() / ORDERS
                        first += codes[piece[:, at] + self.net.offsets[at]]
        return told

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

    def _logits(self, first: "torch.Tensor", at: int) -> "torch.Tensor":
        """Of one part's tokens, shape (rows, card)."""
        from torch.nn import functional

        begin, card = int(self.net.offsets[at]), self.net.cards[at]
        piece = slice(begin, begin + card)
        told: torch.Tensor = functional.linear(self.net.hidden(first), self.net.logit_weights(at), self.net.bias[piece])
        return told

    def _pick(
        self, first: "torch.Tensor", at: int, mask: "torch.Tensor | None", draws: "torch.Tensor"
    ) -> "torch.Tensor":
        """A token for each row by its probability, those outside of the mask having none."""
        import torch

        found = []
        for begin in range(0, len(first), CHUNK):
            piece = slice(begin, begin + CHUNK)
            logits = self._logits(first[piece], at)
            if mask is not None:
                logits = logits.masked_fill(~(mask if len(mask) == 1 else mask[piece]), -torch.inf)
            sums = logits.softmax(dim=1).cumsum(dim=1)
            # Scaled by the last sum: rounding must not lead beyond the tokens, nor to one of no probability.
            token = torch.searchsorted(sums, (draws[piece] * sums[:, -1])[:, None], right=True)[:, 0]
            found.append(token.clamp(max=logits.shape[1] - 1))
        return torch.cat(found)
