"""A net for tables, trained by Horovod's ranks: the same loop as TorchDDP's, its gradients averaged by Horovod."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.torch_ddp import NetModel, TorchDDP, fit_net, learn
from framework.data.frame import Fold
from framework.problem import Kind

if TYPE_CHECKING:
    from framework.training.plan import Plan


@dataclass(frozen=True)
class Horovod:
    """TorchDDP's fields and, from the same seed, TorchDDP's net; `make horovod` builds what it runs on.

    One worker without checkpoints trains in the fit's own process, where there is nothing to average.
    fewest: elastic Horovod: when ranks die it goes on from the last checkpoint with what is left, down to this many,
    and takes new ones in at a later checkpoint.
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
    kinds: ClassVar[frozenset[Kind]] = TorchDDP.kinds
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"horovod/{self.net}")

    @property
    def resources(self) -> Resources:
        return self._ddp.resources

    def fit(self, fold: Fold, context: Context) -> NetModel:
        if self.workers == 1 and context.checkpoints is None:
            return fit_net(self, fold, context, plan=self.plan(context.seed, len(fold.rows)), launch=None)

        def launch(facts: dict[str, Any]) -> Any:
            from framework.training.on_horovod import run

            return run(learn, facts, resources=self.resources, context=context, fewest=self.fewest)

        return fit_net(self, fold, context, plan=self.plan(context.seed, len(fold.rows)), launch=launch)

    def plan(self, seed: int, rows: int) -> "Plan":
        return self._ddp.plan(seed, rows)

    def settled(self, model: Model) -> "Horovod":
        return replace(self, looks=model.looks, epochs=None, patience=0) if isinstance(model, NetModel) else self

    @property
    def _ddp(self) -> TorchDDP:
        return TorchDDP(**{field.name: getattr(self, field.name) for field in fields(self)})
