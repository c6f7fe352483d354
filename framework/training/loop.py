"""The training loop: batches, steps, a look at the validation rows, and when to stop.

The same in one process, on Ray Train and under Horovod: where it runs is the crew's affair.
"""

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framework.contenders.watch import Watch
from framework.training.batches import Batches, Shuffled
from framework.training.crew import Alone, Crew, State
from framework.training.failure import TrainingError
from framework.training.memory import steady_memory
from framework.training.optimizer import optimizer
from framework.training.plan import LOOK_ROWS, Plan
from framework.training.pulse import Pulse
from framework.training.rows import Part, Rows

if TYPE_CHECKING:
    import torch

Loss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]  # (outputs, answers) → one loss a row


@dataclass
class Place:
    """How far a training is: what it goes on from."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # of the epoch
    rows: int = 0  # since the last look
    looks: int = 0
    saved: int = 0  # the step of the last checkpoint


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
    """`train_together`, by a crew of one, from rows in memory."""
    plan = Plan(looks=looks, batch=batch, learning_rate=learning_rate, weight_decay=weight_decay, seed=seed)
    crew = Alone(rows.inputs.device, lambda look, told: watch.context.report(look, **told) if told else None)
    batches = Shuffled(rows, batch=batch, seed=seed, crew=crew)
    return train_together(net, batches, valid=valid, crew=crew, plan=plan, watch=watch, loss=loss)


@steady_memory()
def train_together(
    net: "torch.nn.Module",
    batches: Batches,
    *,
    valid: Rows,
    crew: Crew,
    plan: Plan,
    watch: Watch,
    loss: Loss,
    run: str = "",
) -> int:
    """Trains `net` in place by AdamW, and leaves in it the moving mean of its weights at the best look.

    Every rank calls this with an equal net and equal validation rows, on the crew's device. `loss` tells outputs of
    the net, one a row, from answers. It goes on from the crew's newest checkpoint, where there is one, on any number
    of ranks; run: what a checkpoint must be of, where that one says so. Returns how many looks led to the best; the
    last without valid rows.
    Raises TrainingError, on every rank, when a loss or gradient is not finite, or a checkpoint is of another run.
    """
    import torch

    engine: Any = optimizer(net, plan)
    mean = copy.deepcopy(net) if plan.memory else net
    best = copy.deepcopy(mean.state_dict())
    at = Place()
    if (kept := crew.resume()) is not None:
        at, best = _restore(kept, net, mean, watch, run, crew)
    called, engine = crew.join(net, engine)
    if plan.compiled(crew.device):
        called = torch.compile(called)  # with DDP inside, so that it is cut where a bucket of gradients is full
    if kept is not None:
        engine.load_state_dict(kept["optimizer"])
    if crew.rank:
        torch.manual_seed(plan.seed + 1_000_003 * crew.rank + at.step)  # dropout differs from rank to rank
    pulse = Pulse(crew, watch, valid=len(valid))

    def state() -> State:
        parts = {"net": net.state_dict(), "mean": mean.state_dict(), "best": best, "optimizer": engine.state_dict()}
        seen = {"best": watch.best, "best_round": watch.best_round, "rounds": watch.rounds}
        return {**parts, "place": asdict(at), "watch": seen, "random": _random(crew), "run": run}

    late, stop = False, _spent(watch, at.looks, plan)
    while not stop and at.looks < plan.looks:
        for part in batches.epoch(at.epoch, first=at.batch):
            rate = plan.rate(at.step, plan.steps(batches.steps))
            told = _step(called, net, engine, part, rate, crew=crew, plan=plan, loss=loss)
            at.step, at.batch, at.rows = at.step + 1, at.batch + 1, at.rows + part.count
            if plan.memory:
                _follow(mean, net, at.step, plan.memory)
            late = pulse.beat(at.step, part, *told)
            last = at.batch == batches.steps
            if last:
                at.epoch, at.batch = at.epoch + 1, 0
            due = bool(plan.checkpoint_steps) and at.step - at.saved >= plan.checkpoint_steps
            if last or at.rows >= LOOK_ROWS or late:
                late = pulse.ask() or late
                at.rows = 0
                if not (pulse.blind and at.looks):
                    began = time.monotonic()
                    score = None if pulse.blind else _look(mean, valid, loss, crew)
                    pulse.look_seconds = time.monotonic() - began
                    stop = pulse.agreed(watch.stop(at.looks, score))
                    at.looks += 1
                    if watch.best_round == at.looks - 1:
                        best = copy.deepcopy(mean.state_dict())
                    if score is not None:
                        crew.report(at.looks, {"valid_loss": score}, None)
            elif due:
                pulse.ask()
            stop = stop or late or pulse.blind or at.looks >= plan.looks
            if due or stop:
                at.saved = at.step
                crew.report(at.looks, {}, state)
            if stop:
                break
    net.load_state_dict(best)
    return watch.best_round + 1


def _step(
    called: "torch.nn.Module",
    net: "torch.nn.Module",
    engine: Any,
    part: Part,
    rate: float,
    *,
    crew: Crew,
    plan: Plan,
    loss: Loss,
) -> "tuple[torch.Tensor, torch.Tensor]":
    """One step of the optimizer along the mean gradient of all ranks' rows. Whether loss, and gradient, were finite."""
    import torch

    for group in engine.param_groups:
        group["lr"] = rate
    net.train()
    engine.zero_grad(set_to_none=True)
    pieces = part.rows.pieces(plan.accumulate)
    loss_finite = gradient_finite = torch.ones((), dtype=torch.bool, device=crew.device)
    for place, piece in enumerate(pieces):
        with crew.alone(called) if place + 1 < len(pieces) else nullcontext():
            with torch.autocast(crew.device.type, torch.bfloat16, enabled=plan.half(crew.device)):
                outputs = called(piece.inputs)
            # A crew steps along the mean of its ranks; the loss is the mean of the batch's rows.
            error = (loss(outputs.float(), piece.answers) * piece.weights).sum() / part.total * crew.size
            error.backward()
        loss_finite = loss_finite & torch.isfinite(error.detach())
    crew.average(engine)
    if plan.clip:
        gradient_finite = torch.isfinite(torch.nn.utils.clip_grad_norm_(net.parameters(), plan.clip))
    engine.step()
    return loss_finite, gradient_finite


def _follow(mean: "torch.nn.Module", net: "torch.nn.Module", step: int, memory: float) -> None:
    """mean ← m · mean + (1 - m) · net at step s, from 1, where m = min(memory, (1 + s) / (10 + s))."""
    import torch

    with torch.no_grad():
        ours, theirs = list(mean.parameters()), list(net.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - min(memory, (1 + step) / (10 + step)))


def _look(net: "torch.nn.Module", valid: Rows, loss: Loss, crew: Crew, batch: int = 8192) -> float | None:
    """The weighted mean loss on the validation rows, each rank answering its share; None when there are none."""
    import torch

    if not len(valid):
        return None
    mine = valid.take(slice(len(valid) * crew.rank // crew.size, len(valid) * (crew.rank + 1) // crew.size))
    sums = torch.zeros(2, dtype=torch.float64, device=crew.device)
    net.eval()
    with torch.no_grad():
        for begin in range(0, len(mine), batch):
            piece = mine.take(slice(begin, begin + batch))
            each = loss(net(piece.inputs), piece.answers) * piece.weights
            sums += torch.stack([each.double().sum(), piece.weights.double().sum()])
    missed, weight = crew.total(sums).tolist()
    return float(missed / weight)


def _random(crew: Crew) -> State:
    """Where the random numbers of this rank stand: dropout draws on its device."""
    import torch

    here = {"cpu": torch.get_rng_state()}
    return here | ({"cuda": torch.cuda.get_rng_state(crew.device)} if crew.device.type == "cuda" else {})


def _spent(watch: Watch, looks: int, plan: Plan) -> bool:
    """Whether a training that is taken up again had lost its patience already."""
    return bool(watch.patience and looks and watch.best is not None and looks - 1 - watch.best_round >= watch.patience)


def _restore(
    kept: State, net: "torch.nn.Module", mean: "torch.nn.Module", watch: Watch, run: str, crew: Crew
) -> tuple[Place, dict[str, Any]]:
    """Puts a checkpoint's weights, scores and random numbers back. Returns its place and its best weights."""
    import torch

    if kept["run"] not in ("", run):
        raise TrainingError(
            f"the checkpoints are of another training run ({kept['run']}, and this is {run}): the rows, the net or "
            f"its settings differ. Name a fresh folder for checkpoints, or ask for the same as before."
        )
    net.load_state_dict(kept["net"])
    mean.load_state_dict(kept["mean"])
    watch.best, watch.best_round = kept["watch"]["best"], kept["watch"]["best_round"]
    watch.rounds = kept["watch"]["rounds"]
    torch.set_rng_state(kept["random"]["cpu"])
    if crew.device.type == "cuda" and "cuda" in kept["random"]:
        torch.cuda.set_rng_state(kept["random"]["cuda"], crew.device)
    return Place(**kept["place"]), kept["best"]
