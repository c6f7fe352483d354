"""A conditional tabular GAN (Xu et al. 2019) in plain torch: its conditional vector works at sampling too."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.codec import Codec, Numbers, codec_from_json
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted, fit_by
from synthetic.gan_modes import Modes
from synthetic.synthesizer import Allowed, seeded, within

if TYPE_CHECKING:
    from framework.training.plan import Plan
    from synthetic.gan_net import Generator

WEIGHTS, CARD = "generator.safetensors", "gan.json"
AT_ONCE = 1_024  # rows in the generator: what lies between its layers stays in the processor's cache


@dataclass(frozen=True)
class GAN:
    """A generator and a critic, the generator's moving mean kept as it was when its rows were the most alike.

    epochs: at most. batch: rows of a step, of all workers together; fewer, down to 100, where an epoch would have under
    ten steps. pack: rows that the critic sees as one, against mode collapse. memory: of the moving mean, a step.
    moments: how much the rows' means and correlations count beside the critic; 0: not at all.
    looks: at how alike the rows have become, over the whole training, each with a checkpoint where these are kept;
    patience: looks without gain before it stops, 0 to make all of them.
    workers: processes of Ray Train, from 2, with `cpus` and `gpus` each; one trains here.
    """

    epochs: int = 150
    batch: int = 500
    pack: int = 10
    width: int = 256
    noise: int = 128
    learning_rate: float = 0.001
    memory: float = 0.99
    moments: float = 5.0
    looks: int = 10
    patience: int = 0
    workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto"] | bool = "auto"  # of the generator: a penalty on gradients cannot be compiled
    name: str = "gan"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources(self.cpus, self.gpus, workers=self.workers, apart=self.workers > 1)

    @property
    def plan(self) -> "Plan":
        """What the framework's training loop is told of numbers and of compiling."""
        from framework.training.plan import Plan

        given: dict[str, Any] = {"precision": self.precision, "compile": self.compile}
        return Plan(self.looks, self.batch, self.learning_rate, 0.0, **given)

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> Fitted:
        """As `Synthesizer.fit`."""
        from synthetic.gan_training import train_gan

        return fit_by(self, frame, constraints, context, lambda rows, given: train_gan(self, rows, given))


class GANCore:
    """A trained generator. asked: the parts that a condition may be put on, with each token's share, shape (card,)."""

    exact: ClassVar[bool] = False

    def __init__(
        self,
        generator: "Generator",
        modes: Modes,
        codecs: tuple[Codec | None, ...],
        asked: dict[int, np.ndarray],
        shape: dict[str, int],
    ) -> None:
        self.generator, self.modes, self.codecs = generator.eval(), modes, codecs
        self.asked, self.shape = asked, shape

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        """Of bound parts the rarest is the condition; whether the others hold is for who asks to see."""
        import torch

        from synthetic.gan_net import drawn

        random = seeded(seed)
        bound = [at for at in allowed if at in self.asked]
        parts = np.array(list(self.asked), dtype=np.int64)
        if bound:
            parts = np.array([min(bound, key=lambda at: float(self.asked[at][allowed[at][0]].sum()))])
        inputs = np.zeros((rows, self.shape["inputs"]), dtype=np.float32)
        noise, condition = inputs[:, : self.shape["noise"]], inputs[:, self.shape["noise"] :]
        if len(parts):
            part = random.choice(parts, rows)
            for at in parts.tolist():
                chances = self.asked[at] * allowed[at][0] if at in allowed else self.asked[at]
                if not chances.any():  # noise left nothing of these tokens
                    chances = allowed[at][0].astype(np.float64)
                mine = np.flatnonzero(part == at)
                token = random.choice(len(chances), len(mine), p=chances / chances.sum())
                condition[mine, self.offset(at) + token] = 1
        noise[:] = random.standard_normal(noise.shape)
        with torch.inference_mode():
            logits = torch.cat([self.generator(piece) for piece in torch.from_numpy(inputs).split(AT_ONCE)])
            made = drawn(logits, self.modes, torch.from_numpy(random.standard_exponential(logits.shape, np.float32)))
        places = self.modes.decode(made.numpy(), self.codecs)
        whole = [at for at, codec in enumerate(self.codecs) if not isinstance(codec, Numbers)]
        places[:, whole] = within(np.floor(places[:, whole]), random)
        return places

    def offset(self, part: int) -> int:
        """Where a part's tokens begin in the conditional vector."""
        begin = 0
        for at, each in self.asked.items():
            if at == part:
                return begin
            begin += len(each)
        raise KeyError(part)

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: part.contiguous() for name, part in self.generator.state_dict().items()}, folder / WEIGHTS)
        card: dict[str, Any] = {
            "shape": self.shape,
            "modes": self.modes.to_json(),
            "codecs": [None if codec is None else codec.to_json() for codec in self.codecs],
            "asked": {str(at): each.tolist() for at, each in self.asked.items()},
        }
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.torch import load_file

        from synthetic.gan_net import Generator

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        modes = Modes.from_json(card["modes"])
        asked = {int(at): np.asarray(each) for at, each in card["asked"].items()}
        shape = card["shape"]
        generator = Generator(shape["inputs"], modes.width, width=shape["width"])
        generator.load_state_dict(load_file(folder / WEIGHTS))
        codecs = tuple(None if each is None else codec_from_json(each) for each in card["codecs"])
        return cls(generator, modes, codecs, asked, shape)
