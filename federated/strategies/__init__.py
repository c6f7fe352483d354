"""How silos train and how their updates become one step. One strategy a file, with its paper and its equation.

A strategy is a frozen dataclass. `work` runs inside the silo, `combine` in the coordinator; what travels between them
is declared in `federated.message`.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cluster.user_error import UserError
from cluster.wire import Arrays, Facts

if TYPE_CHECKING:
    from federated.bench import Bench, Work
    from federated.job import LocalPlan
    from federated.strategies.averaged import Averaged as Averaged
    from federated.strategies.ditto import Ditto as Ditto
    from federated.strategies.fedadagrad import FedAdagrad as FedAdagrad
    from federated.strategies.fedadam import FedAdam as FedAdam
    from federated.strategies.fedavg import FedAvg as FedAvg
    from federated.strategies.fedavgm import FedAvgM as FedAvgM
    from federated.strategies.fedbn import FedBN as FedBN
    from federated.strategies.fednova import FedNova as FedNova
    from federated.strategies.fedprox import FedProx as FedProx
    from federated.strategies.fedyogi import FedYogi as FedYogi
    from federated.strategies.finetuned import FineTuned as FineTuned
    from federated.strategies.ifca import IFCA as IFCA
    from federated.strategies.krum import Krum as Krum
    from federated.strategies.median import Median as Median
    from federated.strategies.norm_clipped import NormClipped as NormClipped
    from federated.strategies.scaffold import Scaffold as Scaffold
    from federated.strategies.silo_private import SiloPrivate as SiloPrivate
    from federated.strategies.trimmed_mean import TrimmedMean as TrimmedMean
    from federated.update import Update

FILES = {
    "Averaged": "averaged",
    "Ditto": "ditto",
    "FedAdagrad": "fedadagrad",
    "FedAdam": "fedadam",
    "FedAvg": "fedavg",
    "FedAvgM": "fedavgm",
    "FedBN": "fedbn",
    "FedNova": "fednova",
    "FedProx": "fedprox",
    "FedYogi": "fedyogi",
    "FineTuned": "finetuned",
    "IFCA": "ifca",
    "Krum": "krum",
    "Median": "median",
    "NormClipped": "norm_clipped",
    "Scaffold": "scaffold",
    "SiloPrivate": "silo_private",
    "TrimmedMean": "trimmed_mean",
}
__all__ = sorted(FILES)


class StrategyError(UserError):
    """A strategy that there is none of by that name, or one whose settings make no sense."""


@dataclass(frozen=True)
class Server:
    """What a coordinator keeps between rounds: the common model, and by name what else its strategy needs.

    refused: of the round that is to be combined, how many silos sent what could not be used.
    """

    weights: Arrays
    kept: dict[str, Arrays]
    refused: int = 0


class Strategy(Protocol):
    """`send` → `work` in every silo → `combine`, round after round; then, once, `personal` in every silo.

    personalises: some silos may be answered by a part of the model that is theirs; else `personal` is not asked.
    """

    personalises: ClassVar[bool]

    def check(self, plan: "LocalPlan") -> None:
        """Raises StrategyError when the silos' training is not what the equations are of."""
        ...

    def start(self, first: Callable[[int], Arrays]) -> Server:
        """first: the net's fresh weights for a seed, counted from 0."""
        ...

    def send(self, server: Server) -> dict[str, Arrays]:
        """What every silo is sent; group → arrays."""
        ...

    def work(self, bench: "Bench", sent: dict[str, Arrays]) -> "Work":
        """One round inside a silo."""
        ...

    def combine(self, server: Server, updates: "Sequence[Update]") -> Server:
        """The next state from the updates that came."""
        ...

    def common(self, bench: "Bench", sent: dict[str, Arrays]) -> Arrays:
        """The weights that a silo is to answer with before it trains: by these a round is judged."""
        ...

    def personal(self, bench: "Bench", sent: dict[str, Arrays]) -> tuple[str, Arrays]:
        """The part of the model that answers for this silo: its name, and the weights in which it differs from the
        common one; no name: it is the common one."""
        ...


def named(name: str, **settings: Any) -> Strategy:
    """The strategy of this name with these settings. Raises StrategyError naming the nearest one there is."""
    if name not in FILES:
        near = difflib.get_close_matches(name, FILES, n=1, cutoff=0.4)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        raise StrategyError(f"there is no strategy {name!r}. {meant}There are: {', '.join(__all__)}.")
    made: Strategy = getattr(import_module(f"{__name__}.{FILES[name]}"), name)(**settings)
    return made


def to_facts(strategy: Strategy) -> Facts:
    """Plain data; `from_facts` reads it back equal."""
    settings = {field.name: getattr(strategy, field.name) for field in fields(strategy)}  # type: ignore[arg-type]
    nested = {key: to_facts(value) if hasattr(value, "combine") else value for key, value in settings.items()}
    return {"name": type(strategy).__name__, "settings": nested}


def from_facts(facts: Facts) -> Strategy:
    """Raises StrategyError for a name that is none of ours: what a message says is never code."""
    settings = {
        key: from_facts(value) if isinstance(value, dict) and "settings" in value else value
        for key, value in facts["settings"].items()
    }
    return named(facts["name"], **settings)


def training_of(strategy: Strategy, *, classes: bool) -> Mapping[str, Any]:
    """How silos are to train where nobody says otherwise, as fields of `LocalPlan`: the innermost strategy's own.

    classes: what is learned are classes, not a quantity.
    """
    inner = getattr(strategy, "inner", None)
    if inner is not None:
        return training_of(inner, classes=classes)
    usual: Mapping[str, Any] = getattr(strategy, "training", {})
    return getattr(strategy, "training_of_classes", usual) if classes else usual


def names_of(strategy: Strategy) -> list[str]:
    """Its name, and those of the strategies inside it."""
    inner = getattr(strategy, "inner", None)
    return [type(strategy).__name__, *(names_of(inner) if inner is not None else [])]


def __getattr__(name: str) -> Any:
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no strategy {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{FILES[name]}"), name)
