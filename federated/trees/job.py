"""What silos are asked to grow: the same words to every one, and no parameter of the engine that is not named here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from cluster.wire import Facts
from federated.job import JobError
from framework.data.column import ColumnKind

Way = Literal["Histograms", "Bagging"]
OBJECTIVES = frozenset(
    {"binary:logistic", "multi:softprob", "reg:squarederror", "reg:absoluteerror", "reg:quantileerror"}
)
SUMMED = frozenset({"logloss", "mlogloss", "rmse", "mae", "mape", "rmsle", "quantile"})  # sums over rows: silos add up


@dataclass(frozen=True)
class TreePlan:
    """How trees grow, in the engine's terms. bins: of a column, on edges that the silos agree on beforehand."""

    objective: str
    metric: str
    quantile: float | None = None
    learning_rate: float = 0.05
    depth: int = 4
    min_child_weight: float = 5.0
    subsample: float = 0.8
    columns: float = 0.5
    l2: float = 1.0
    bins: int = 256

    def engine(self, classes: int, seed: int) -> dict[str, Any]:
        """The engine's parameters."""
        more: dict[str, Any] = {"num_class": classes} if classes > 2 else {}
        if self.quantile is not None:
            more["quantile_alpha"] = self.quantile
        return {
            "objective": self.objective,
            "eval_metric": self.metric,
            "tree_method": "hist",
            "device": "cpu",
            "nthread": 1,
            "seed": seed,
            "seed_per_iteration": True,  # whoever goes on from a checkpoint draws as those who never stopped
            "learning_rate": self.learning_rate,
            "max_depth": self.depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.columns,
            "reg_lambda": self.l2,
            "max_bin": self.bins,
            **more,
        }


@dataclass(frozen=True)
class TreeJob:
    """columns: the features' names and kinds, in their order; labels: of the classes, none for a quantity.

    way: grown together from sums of histograms, or each silo's own. patience: of a silo's own trees. secure: what silos
    add up, before and while trees grow, is masked: the tracker and the coordinator learn the sums.
    Raises JobError for settings that no tree can grow by.
    """

    target: str
    columns: tuple[tuple[str, ColumnKind], ...]
    labels: tuple[str, ...]
    way: Way
    plan: TreePlan
    rounds: int
    patience: int = 0
    seed: int = 0
    secure: bool = False

    def __post_init__(self) -> None:
        plan = self.plan
        if self.secure and self.way == "Bagging":
            raise JobError(
                "Bagging sends each silo's own trees, which no sum hides. Take FederatedTrees(secure=True), or "
                "secure=False."
            )
        if plan.objective not in OBJECTIVES or plan.metric not in SUMMED:
            raise JobError(f"silos grow no trees by {plan.objective!r}, stopped by {plan.metric!r}.")
        if self.rounds < 1 or plan.depth < 1 or not 2 <= plan.bins <= 256:
            raise JobError(
                f"rounds={self.rounds} and depth={plan.depth} must be at least 1, and bins={plan.bins} from 2 to 256."
            )

    @property
    def ways(self) -> list[str]:
        return [self.way]

    def to_facts(self) -> Facts:
        plain = {name: getattr(self, name) for name in ("target", "way", "rounds", "patience", "seed", "secure")}
        lists = {"columns": [list(column) for column in self.columns], "labels": list(self.labels)}
        return {**plain, **lists, "plan": asdict(self.plan)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        columns = tuple((name, kind) for name, kind in facts["columns"])
        parts = {"columns": columns, "labels": tuple(facts["labels"]), "plan": TreePlan(**facts["plan"])}
        return cls(**{**facts, **parts})
