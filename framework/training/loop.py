"""The training loop: batches, steps, a look at the validation rows, and when to stop."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.contenders.watch import Watch

if TYPE_CHECKING:
    import torch

Loss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]  # (outputs, answers) → one loss a row
LOOK_ROWS = 200_000  # training rows between two looks at the validation rows, when an epoch is longer
MEMORY = 0.99  # of the moving mean of weights, a step
WARM_STEPS = 50  # over which the steps grow to their full size


@dataclass(frozen=True)
class Rows:
    """Inputs shape (rows, features), answers shape (rows,), weights shape (rows,)."""

    inputs: "torch.Tensor"
    answers: "torch.Tensor"
    weights: "torch.Tensor"

    def __len__(self) -> int:
        return len(self.inputs)


def train(
    net: "torch.nn.Module",
    rows: Rows,
    valid: Rows,
    watch: Watch,
    *,
    loss: Loss,
    looks: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> int:
    """Trains `net` in place by AdamW, and leaves in it the moving mean of its weights at the best look.

    A look comes after every epoch, or every LOOK_ROWS rows; `looks` bounds them. `loss` tells outputs of the net,
    one a row, from answers. Returns how many looks led to the best; the last where valid has no rows.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    engine = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=weight_decay)
    warm = torch.optim.lr_scheduler.LambdaLR(engine, lambda step: min(1.0, (step + 1) / WARM_STEPS))
    mean = copy.deepcopy(net)
    best = copy.deepcopy(mean.state_dict())
    look, since = 0, 0
    while look < looks:
        order = torch.randperm(len(rows), generator=draw)
        pieces = [piece.to(rows.inputs.device) for piece in order.split(batch)]
        for place, piece in enumerate(pieces):
            net.train()
            weights = rows.weights[piece]
            error = (loss(net(rows.inputs[piece]), rows.answers[piece]) * weights).sum() / weights.sum()
            engine.zero_grad(set_to_none=True)
            error.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            engine.step()
            warm.step()
            _follow(mean, net, warm.last_epoch)
            since += len(piece)
            late = watch.late()
            if place + 1 < len(pieces) and since < LOOK_ROWS and not late:
                continue
            since = 0
            score = _look(mean, valid, loss)
            stop = watch.stop(look, score)
            look += 1
            if score is not None:
                watch.context.report(look, valid_loss=score)
            if watch.best_round == look - 1:
                best = copy.deepcopy(mean.state_dict())
            if stop or late or look >= looks:
                net.load_state_dict(best)
                return watch.best_round + 1
    net.load_state_dict(best)
    return watch.best_round + 1


def _follow(mean: "torch.nn.Module", net: "torch.nn.Module", step: int) -> None:
    """mean ← m · mean + (1 - m) · net, with a shorter memory in the first steps."""
    import torch

    memory = min(MEMORY, (1 + step) / (10 + step))
    with torch.no_grad():
        ours, theirs = list(mean.parameters()), list(net.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - memory)


def _look(net: "torch.nn.Module", valid: Rows, loss: Loss, batch: int = 8192) -> float | None:
    """The weighted mean loss on the validation rows; None when there are none."""
    import torch

    if not len(valid):
        return None
    net.eval()
    with torch.no_grad():
        pairs = zip(valid.inputs.split(batch), valid.answers.split(batch), strict=True)
        each = torch.cat([loss(net(inputs), answers) for inputs, answers in pairs])
    return float((each * valid.weights).sum() / valid.weights.sum())
