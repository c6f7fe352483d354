"""What all ranks ask each other now and then, because asking at every step would cost: is there time, is all finite."""

import hashlib
import time
from typing import TYPE_CHECKING

from framework.training.failure import TrainingError

if TYPE_CHECKING:
    import torch

    from framework.contenders.watch import Watch
    from framework.training.crew import Crew
    from framework.training.rows import Part, Rows

SECONDS = 0.1  # between two questions
FORWARD = 0.4  # of the time of a step, for an answer to as many rows
OTHERS = 0.5  # marks a step whose loss was finite on this rank, but not the gradient
MOST_STEPS = 16  # between them; so many batches are held, to tell the one that went wrong


class Pulse:
    """Counts steps until all ranks meet. Rank 0's clock is the one that counts.

    blind: there is no time left even for a look at the validation rows.
    """

    def __init__(self, crew: "Crew", watch: "Watch", *, valid: int) -> None:
        """valid: how many validation rows a look takes."""
        import torch

        self.crew, self.watch = crew, watch
        self.blind, self.look_seconds, self.valid = False, 0.0, valid
        self.bad = torch.zeros((), dtype=torch.float64, device=crew.device)
        self.parts: dict[int, Part] = {}
        self.every, self.began = 1, time.monotonic()

    def beat(self, step: int, part: "Part", loss: "torch.Tensor", gradient: "torch.Tensor") -> bool:
        """After step `step`, from 1: whether it is late, as far as is known.

        loss, gradient: whether this rank's loss and the ranks' gradient were finite, booleans on the crew's device;
        not looked at before ranks meet.
        """
        import torch

        self.parts[step] = part
        mine = torch.where(loss, step + OTHERS, step).double()
        self.bad = torch.where((loss & gradient) | (self.bad > 0), self.bad, mine)
        return len(self.parts) >= self.every and self.ask()

    def ask(self) -> bool:
        """Meets all ranks: whether it is late. Raises TrainingError on all of them where a number was not finite."""
        import torch

        slots = torch.zeros(3 + self.crew.size, dtype=torch.float64, device=self.crew.device)
        if self.crew.rank == 0:
            pace = (time.monotonic() - self.began) / max(1, len(self.parts))
            if self.parts and not self.look_seconds:
                rows = sum(part.count for part in self.parts.values()) / len(self.parts)
                self.look_seconds = FORWARD * pace * self.valid / rows
            slots[0] = float(self.watch.late(self.look_seconds + pace))
            slots[1] = float(self.watch.late(self.look_seconds))
            slots[2] = float(min(MOST_STEPS, max(1, int(SECONDS / max(pace, 1e-6)))))
        slots[3 + self.crew.rank] = self.bad
        late, blind, every, *firsts = self.crew.total(slots).tolist()
        if any(firsts):
            self._stop(int(min(first for first in firsts if first)), firsts)
        self.parts.clear()
        self.blind, self.every, self.began = bool(blind), int(every), time.monotonic()
        return bool(late)

    def agreed(self, claim: bool) -> bool:
        """Rank 0's answer, on every rank."""
        import torch

        mine = float(claim) if self.crew.rank == 0 else 0.0
        return bool(self.crew.total(torch.tensor([mine], dtype=torch.float64, device=self.crew.device)).item())

    def _stop(self, step: int, firsts: list[float]) -> None:
        import torch

        prints = torch.zeros(self.crew.size, dtype=torch.float64, device=self.crew.device)
        prints[self.crew.rank] = float(int(fingerprint(self.parts[step].rows), 16))
        told = [f"{int(value):012x}" for value in self.crew.total(prints).tolist()]
        worst = min(first for first in firsts if first)
        guilty = [f"{told[rank]} on rank {rank}" for rank, first in enumerate(firsts) if first == worst]
        raise TrainingError(
            f"the loss or its gradient is not finite at step {step} (batch {', '.join(guilty)}). Look for infinite "
            f"answers in the rows, or lower the learning rate; checkpoints from before that step are kept."
        )


def fingerprint(rows: "Rows") -> str:
    """The first 12 hex digits of the SHA-256 of a batch's bytes: inputs, answers, weights."""
    told = hashlib.sha256()
    for part in (rows.inputs, rows.answers, rows.weights):
        told.update(part.detach().cpu().contiguous().numpy().tobytes())
    return told.hexdigest()[:12]
