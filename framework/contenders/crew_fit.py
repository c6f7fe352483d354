"""One fit of a net for tables, by one process or many: what every rank is given, and what it does with it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.contender import Context
from framework.contenders.net_model import NetModel
from framework.contenders.net_rows import LEARN_ROWS, NetRows, as_arrays, tensors
from framework.contenders.watch import Watch
from framework.data.frame import Fold

if TYPE_CHECKING:
    import torch

    from framework.contenders.crew_net import CrewNet
    from framework.training.batches import Batches
    from framework.training.crew import Crew
    from framework.training.plan import Plan

LEAVE_SECONDS = 1.5  # for a group of workers to hand in its model and stop
RESIDENT_SHARE = 0.25  # of a GPU's free memory that rows may take to stay there


def fit_net(
    asked: "CrewNet",
    fold: Fold,
    context: Context,
    *,
    launch: Callable[[dict[str, Any], Context], dict[str, Any]] | None,
) -> NetModel:
    """The model of a contender whose processes `launch` starts; None: it learns here, alone.

    launch: runs `learn(crew, facts)` on every process and returns what rank 0 returned.
    """
    import torch

    from framework.nets import build

    plan = asked.plan(context.seed, len(fold.rows))
    encoder = NetRows.learn(fold, seed=context.seed)
    shape = {"cards": encoder.cards, "outputs": encoder.outputs, **dict(asked.shape)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        start = build(asked.net, **shape).learn(encoder.inputs(fold.train.X.iloc[:LEARN_ROWS]))
    weight = fold.train.weight
    facts: dict[str, Any] = {
        "net": asked.net,
        "shape": shape,
        "plan": plan,
        "patience": asked.patience,
        "encoder": encoder,
        "metric": fold.problem.metric,
        "shards": fold.shards,
        "weight": 1.0 if weight is None else float(np.mean(weight)),
        "lanes": asked.workers,
        "threads": max(1, int(asked.cpus)),
        "run": _mark(asked.net, shape, plan, fold),
    }
    held = {
        "start": as_arrays(start.state_dict()),
        "rows": None if fold.shards is not None else encoder.arrays(fold.train),
        "valid": encoder.arrays(fold.valid),
    }
    if launch is None:
        torch.set_num_threads(context.threads)
        told = learn(_alone(context), {**facts, "held": held, "deadline": context.deadline})
    else:
        import ray

        told = launch({**facts, "held": ray.put(held), "deadline": context.deadline - LEAVE_SECONDS}, context)
    net = build(asked.net, **shape)
    net.load_state_dict({name: torch.from_numpy(np.array(part)) for name, part in told["state"].items()})
    return NetModel(encoder, net.eval(), asked.net, shape, told["looks"])


def learn(crew: "Crew", facts: dict[str, Any]) -> dict[str, Any]:
    """One rank of a training: {"state": the net's weights as arrays, "looks": how many led to the best}.

    facts: as `fit_net` makes them; `held` itself, or a Ray reference to it.
    """
    import torch

    from framework.nets import build
    from framework.training.loop import train_together

    held = facts["held"]
    if not isinstance(held, dict):
        import ray

        held = ray.get(held)
        torch.set_num_threads(facts["threads"])
    encoder, plan = facts["encoder"], facts["plan"]
    context = Context(seed=plan.seed, deadline=facts["deadline"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        net = build(facts["net"], **facts["shape"])
        net.load_state_dict({name: torch.from_numpy(np.array(part)) for name, part in held["start"].items()})
        net.to(crew.device)
        looks = train_together(
            net,
            _batches(crew, facts, held["rows"]),
            valid=tensors(*held["valid"]).to(crew.device),
            crew=crew,
            plan=plan,
            watch=Watch(context, facts["patience"]),
            loss=encoder.loss(facts["metric"]),
            run=facts["run"],
        )
    return {"state": as_arrays(net.state_dict()), "looks": looks}


def _batches(crew: "Crew", facts: dict[str, Any], held: tuple[np.ndarray, ...] | None) -> "Batches":
    """Of the rows in memory, or of those in files where none are held."""
    from framework.training.batches import LANES, Shuffled, Streamed

    many = {"batch": facts["plan"].batch, "seed": facts["plan"].seed, "crew": crew}
    if held is None:
        lanes = LANES * -(-facts["lanes"] // LANES)
        return Streamed(facts["shards"], facts["encoder"].rows, **many, weight=facts["weight"], lanes=lanes)
    rows = tensors(*held)
    stay = _fits(sum(part.nbytes for part in held), crew.device)
    return Shuffled(rows.to(crew.device) if stay else rows, **many)


def _alone(context: Context) -> "Crew":
    from framework.training.crew import Alone
    from framework.training.shelf import shelf_of
    from framework.training.state_shelf import StateShelf

    def hear(look: int, told: dict[str, float]) -> None:
        if told:
            context.report(look, **told)

    shelf = StateShelf(shelf_of(context.checkpoints).uri) if context.checkpoints else None
    return Alone("cuda" if context.gpus > 0 else "cpu", hear, shelf=shelf, tell=context.remark)


def _mark(net: str, shape: dict[str, Any], plan: "Plan", fold: Fold) -> str:
    """What checkpoints must be of to be gone on from: the net, the rows and how it learns; not how long."""
    lasting = {key: value for key, value in asdict(plan).items() if key not in ("looks", "checkpoint_steps")}
    told = json.dumps([net, shape, lasting, fold.problem.name, len(fold.rows)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _fits(taken: int, device: "torch.device") -> bool:
    """Whether rows of so many bytes may stay on the device."""
    import torch

    return device.type == "cpu" or bool(taken < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0])
