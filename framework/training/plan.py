"""How a net is trained, as plain numbers: what does not depend on where it runs."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

LOOK_ROWS = 200_000  # training rows between two looks at the validation rows, when an epoch is longer


@dataclass(frozen=True)
class Plan:
    """batch: rows of one step, of all ranks together: the result does not depend on how many they are.

    looks: at the validation rows, at most; one comes after every epoch, or every LOOK_ROWS rows.
    """

    looks: int
    batch: int
    learning_rate: float
    weight_decay: float
    seed: int = 0
    warm_up: int = 50  # steps, over which the learning rate grows to its full size
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0  # the longest gradient; 0: any length
    accumulate: int = 1  # pieces in which a rank works off its part of a batch, to save memory
    memory: float = 0.99  # of the moving mean of weights, a step; 0: no mean
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on GPUs that have it
    compile: Literal["auto"] | bool = "auto"  # auto: on GPUs
    checkpoint_steps: int = 0  # steps between two checkpoints; 0: one at the end

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step`, from 0, of `steps` that the whole training may take.

        η · min(1, (step + 1) / w) for the warm-up w; and under "cosine" η · (1 + cos(π p)) / 2 after it, where p is
        the share gone of the steps that are left.
        """
        warm = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        if self.schedule == "constant" or step < self.warm_up:
            return self.learning_rate * warm
        gone = min(1.0, (step - self.warm_up) / max(1, steps - self.warm_up))
        return self.learning_rate * (1 + math.cos(math.pi * gone)) / 2

    def steps(self, epoch: int) -> int:
        """How many steps the whole training may take, `epoch` of them being an epoch."""
        return self.looks * min(epoch, math.ceil(LOOK_ROWS / self.batch))

    def half(self, device: "torch.device") -> bool:
        """Whether forward and backward run in bfloat16. On CPUs that is slower than float32."""
        import torch

        if self.precision == "auto":
            return device.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))
        return self.precision == "bfloat16"

    def compiled(self, device: "torch.device") -> bool:
        return device.type == "cuda" if self.compile == "auto" else self.compile
