"""A net for tables, trained by PyTorch on all workers of a Ray Train group at once."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.net_rows import LEARN_ROWS, NetRows, as_arrays, load_weights, save_weights, tensors
from framework.contenders.watch import Watch
from framework.data.frame import Fold
from framework.problem import Kind

if TYPE_CHECKING:
    import torch

    from framework.training.crew import Crew
    from framework.training.plan import Plan

CARD = "net.json"
WEIGHTS = "weights.safetensors"
RATES = {"ft_transformer": 5e-4, "tabm": 2e-3, "mlp": 1e-3}
LEAVE_SECONDS = 1.5  # for a group of workers to hand in its model and stop
RESIDENT_SHARE = 0.25  # of a GPU's free memory that rows may take to stay there


@dataclass(frozen=True)
class TorchDDP:
    """A net of `framework.nets`, trained by DistributedDataParallel: every worker takes its share of each batch.

    One worker without checkpoints trains in the fit's own process, as a Ray Train group takes ten seconds to start.
    workers: processes, with `cpus` and `gpus` each; fewest: how many it may go on with when nodes are lost.
    batch: rows of a step, of all workers together. looks: at the validation rows, one an epoch or every 200,000 rows;
    patience: looks without gain before it stops, 0 to make all of them.
    shape: what else the net takes, such as (("width", 64), ("blocks", 2)).
    """

    net: Literal["ft_transformer", "tabm", "mlp"] = "tabm"
    workers: int = 1
    fewest: int | None = None
    shape: tuple[tuple[str, Any], ...] = ()
    batch: int = 256
    learning_rate: float | None = None  # None: the net's own
    weight_decay: float = 0.001
    looks: int = 200
    epochs: int | None = None  # at most; None: as many as the looks allow
    patience: int = 12
    warm_up: int = 50  # steps
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0
    accumulate: int = 1  # pieces in which a worker works off its share of a batch, to save memory
    memory: float = 0.99  # of the moving mean of weights, which is what answers; 0: the weights themselves
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto"] | bool = "auto"
    checkpoint_steps: int = 500
    name: str = ""
    cpus: float = 1.0
    gpus: float = 0.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"torch_ddp/{self.net}")

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, gpus=self.gpus, workers=self.workers, apart=self.workers > 1)

    def fit(self, fold: Fold, context: Context) -> "NetModel":
        if self.workers == 1 and context.checkpoints is None:
            return fit_net(self, fold, context, plan=self.plan(context.seed, len(fold.rows)), launch=None)

        def launch(facts: dict[str, Any]) -> Any:
            from framework.training.on_ray import run

            asked = replace(self.resources, apart=True)
            return run(learn_on_ray, facts, engine="torch", resources=asked, context=context, fewest=self.fewest)

        return fit_net(self, fold, context, plan=self.plan(context.seed, len(fold.rows)), launch=launch)

    def plan(self, seed: int, rows: int) -> "Plan":
        """How it learns from so many rows."""
        from framework.training.plan import LOOK_ROWS, Plan

        looks = self.looks if self.epochs is None else min(self.looks, self.epochs * -(-rows // LOOK_ROWS))
        shared = ("batch", "weight_decay", "warm_up", "schedule", "clip", "accumulate", "memory", "precision")
        given = {name: getattr(self, name) for name in (*shared, "compile", "checkpoint_steps")}
        return Plan(**given, looks=looks, learning_rate=self.learning_rate or RATES[self.net], seed=seed)

    def settled(self, model: Model) -> "TorchDDP":
        return replace(self, looks=model.looks, epochs=None, patience=0) if isinstance(model, NetModel) else self


def fit_net(
    asked: Any,
    fold: Fold,
    context: Context,
    *,
    plan: "Plan",
    launch: Callable[[dict[str, Any]], Any] | None,
) -> "NetModel":
    """The model of a contender that has a net's fields (net, shape, patience, workers, cpus, gpus).

    launch: runs `learn(crew, facts)` on many processes and returns what rank 0 returned; None: here, alone.
    """
    import torch

    from framework.nets import build

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
        from framework.training.crew import Alone

        torch.set_num_threads(context.threads)
        device = "cuda" if context.gpus > 0 else "cpu"
        crew = Alone(device, lambda look, told: context.report(look, **told) if told else None)
        told = learn(crew, {**facts, "held": held, "deadline": context.deadline})
    else:
        import ray

        told = launch({**facts, "held": ray.put(held), "deadline": context.deadline - LEAVE_SECONDS})
    net = build(asked.net, **shape)
    net.load_state_dict({name: torch.from_numpy(np.array(part)) for name, part in told["state"].items()})
    return NetModel(encoder, net.eval(), asked.net, shape, told["looks"])


def learn_on_ray(facts: dict[str, Any]) -> dict[str, Any]:
    """`learn` in a Ray Train worker."""
    from framework.training.ray_crew import RayCrew

    return learn(RayCrew(), facts)


def learn(crew: "Crew", facts: dict[str, Any]) -> dict[str, Any]:
    """One rank of a training: {"state": the net's weights as arrays, "looks": how many led to the best}.

    facts: as `fit_net` makes them; `held` itself, or a Ray reference to it.
    """
    import torch

    from framework.nets import build
    from framework.training.batches import LANES, Batches, Shuffled, Streamed
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
        if facts["shards"] is None:
            rows = tensors(*held["rows"])
            taken = sum(part.nbytes for part in held["rows"])
            rows = rows.to(crew.device) if _fits(taken, crew.device) else rows
            batches: Batches = Shuffled(rows, batch=plan.batch, seed=plan.seed, crew=crew)
        else:
            lanes = LANES * -(-facts["lanes"] // LANES)
            many = {"batch": plan.batch, "seed": plan.seed, "crew": crew, "weight": facts["weight"], "lanes": lanes}
            batches = Streamed(facts["shards"], encoder.rows, **many)
        looks = train_together(
            net,
            batches,
            valid=tensors(*held["valid"]).to(crew.device),
            crew=crew,
            plan=plan,
            watch=Watch(context, facts["patience"]),
            loss=encoder.loss(facts["metric"]),
            run=facts["run"],
        )
    return {"state": as_arrays(net.state_dict()), "looks": looks}


@dataclass(frozen=True)
class NetModel:
    """A net of `framework.nets` and the columns it takes. It answers in one process, whoever trained it."""

    rows: NetRows
    net: "torch.nn.Module" = field(repr=False)
    kind: str  # the net's name
    shape: dict[str, Any]
    looks: int

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.rows.predict(self.net, X)

    def save(self, folder: Path) -> None:
        self.rows.save(folder)
        save_weights(self.net, folder / WEIGHTS)
        card = {"net": self.kind, "shape": self.shape, "looks": self.looks}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from framework.nets import build

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        net = load_weights(build(card["net"], **card["shape"]), folder / WEIGHTS)
        return cls(NetRows.load(folder), net, card["net"], card["shape"], card["looks"])


def _mark(net: str, shape: dict[str, Any], plan: "Plan", fold: Fold) -> str:
    """What checkpoints must be of to be gone on from: the net, the rows and how it learns; not how long."""
    lasting = {key: value for key, value in asdict(plan).items() if key not in ("looks", "checkpoint_steps")}
    told = json.dumps([net, shape, lasting, fold.problem.name, len(fold.rows)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _fits(taken: int, device: "torch.device") -> bool:
    """Whether rows of so many bytes may stay on the device."""
    import torch

    return device.type == "cpu" or bool(taken < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0])
