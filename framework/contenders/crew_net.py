"""What a net for tables is asked for when many processes train it, whoever averages their gradients."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.net_model import NetModel
from framework.data.frame import Fold
from framework.problem import Kind
from framework.search_space import Choice, Real, Settings, Space

if TYPE_CHECKING:
    from framework.training.plan import Plan

RATES = {"ft_transformer": 5e-4, "tabm": 2e-3, "mlp": 1e-3}


@dataclass(frozen=True)
class CrewNet:
    """The fields that TorchDDP and Horovod share, and all of a fit but how its processes are started.

    One worker trains in the fit's own process, where nothing has to be averaged.
    workers: processes, with `cpus` and `gpus` each; fewest: how many it may go on with when nodes are lost.
    batch: rows of a step, of all workers together. looks: at the validation rows, one an epoch or every 200,000 rows;
    patience: looks without gain before it stops, 0 to make all of them.
    shape: what else the net takes, such as (("width", 64), ("blocks", 2)).
    apart: a single worker is a process of its own too: when it is killed, the fit goes on from its last checkpoint.
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
    apart: bool = False
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = True
    # Ranges: Gorishniy et al. 2025 (TabM), appendix D; settings: its defaults, and their neighbours at both sides.
    space: ClassVar[Space] = {
        "learning_rate": Real(0.0001, 0.01, log=True),
        "weight_decay": Real(0.0001, 0.1, log=True),
        "batch": Choice((64, 128, 256, 512)),
    }
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"learning_rate": 0.002, "weight_decay": 0.0003, "batch": 256},
        {"learning_rate": 0.0005, "weight_decay": 0.01, "batch": 128},
        {"learning_rate": 0.005, "weight_decay": 0.001, "batch": 512},
    )
    engine: ClassVar[str]
    changing: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay")  # while it trains: for populations

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.engine}/{self.net}")

    @abstractmethod
    def launch(self, facts: dict[str, Any], context: Context) -> dict[str, Any]:
        """What `crew_fit.learn(crew, facts)` returned on rank 0 of `workers` processes."""

    @property
    def resources(self) -> Resources:
        return Resources(self.cpus, self.gpus, workers=self.workers, apart=self.apart or self.workers > 1)

    def fit(self, fold: Fold, context: Context) -> NetModel:
        from framework.contenders.crew_fit import fit_net

        return fit_net(self, fold, context, launch=self.launch if self.resources.apart else None)

    def plan(self, seed: int, rows: int) -> "Plan":
        """How it learns from so many rows."""
        from framework.training.plan import LOOK_ROWS, Plan

        looks = self.looks if self.epochs is None else min(self.looks, self.epochs * -(-rows // LOOK_ROWS))
        shared = ("batch", "weight_decay", "warm_up", "schedule", "clip", "accumulate", "memory", "precision")
        given = {name: getattr(self, name) for name in (*shared, "compile", "checkpoint_steps")}
        return Plan(**given, looks=looks, learning_rate=self.learning_rate or RATES[self.net], seed=seed)

    def settled(self, model: Model) -> Self:
        return replace(self, looks=model.looks, epochs=None, patience=0) if isinstance(model, NetModel) else self
