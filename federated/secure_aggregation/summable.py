"""Which strategies need no more than sums over silos, and which sums these are."""

import numpy as np

from cluster.wire import Arrays
from federated.secure_aggregation.contribution import Contribution, limited
from federated.strategies import Strategy, StrategyError, names_of
from federated.strategies.norm_clipped import NormClipped
from federated.strategies.scaffold import Scaffold
from federated.update import Update

SUMMABLE = frozenset(
    {
        "Averaged",
        "Ditto",
        "FedAdagrad",
        "FedAdam",
        "FedAvg",
        "FedAvgM",
        "FedBN",
        "FedNova",
        "FedProx",
        "FedYogi",
        "FineTuned",
        "NormClipped",
        "Scaffold",
    }
)
STEPS = "|steps"  # beside the names of a net's weights


def check_summable(strategy: Strategy) -> None:
    """Raises StrategyError naming a strategy that looks at single updates."""
    if others := [name for name in names_of(strategy) if name not in SUMMABLE]:
        raise StrategyError(
            f"{others[0]} needs each silo's own update, and secure aggregation tells their weighted sum alone. Take "
            f"one of {', '.join(sorted(SUMMABLE))}, or secure=False."
        )
    if "NormClipped" in names_of(strategy) and not bound(strategy):
        raise StrategyError(
            "NormClipped(most=0) clips at the median of all updates' norms, which secure aggregation hides. Give most."
        )


def bound(strategy: Strategy) -> float:
    """The norm that a silo holds its own update to before it is summed; 0: none."""
    inner = getattr(strategy, "inner", None)
    if isinstance(strategy, NormClipped):
        return strategy.most
    return bound(inner) if inner is not None else 0.0


def summed_of(strategy: Strategy, groups: dict[str, Arrays], steps: int) -> tuple[Arrays, Arrays]:
    """What a silo adds of its update: by its rows, and counted alike with all others'.

    FedNova's Σ p_k Δ_k / τ_k and Σ p_k τ_k; Scaffold's Σ p_k Δ_k and Σ (c_k⁺ - c_k); else Σ p_k Δ_k.
    """
    delta = limited(groups["delta"], bound(strategy))
    if "FedNova" in names_of(strategy):
        delta = {**{name: array / steps for name, array in delta.items()}, STEPS: np.array([float(steps)])}
    return delta, groups["control"] if _scaffold(strategy) else {}


def likes_of(strategy: Strategy, weights: Arrays) -> tuple[Arrays, Arrays]:
    """What these look like."""
    like = {**weights, STEPS: np.zeros(1)} if "FedNova" in names_of(strategy) else weights
    return like, weights if _scaffold(strategy) else {}


def update_of(strategy: Strategy, mean: Contribution, silos: int) -> Update:
    """One update by which the strategy makes the step that it would make by those of all silos in the mean."""
    delta = dict(mean.delta)
    steps = delta.pop(STEPS, np.ones(1))
    groups = {"delta": {name: steps * array for name, array in delta.items()}}
    if scaffold := _scaffold(strategy):
        scale = silos if scaffold.silos else 1  # of N silos one update stands for so many
        groups["control"] = {name: scale * array for name, array in mean.alike.items()}
    return Update(f"the sum of {silos}", mean.rows, 1, groups)


def _scaffold(strategy: Strategy) -> Scaffold | None:
    inner = getattr(strategy, "inner", None)
    if isinstance(strategy, Scaffold):
        return strategy
    return _scaffold(inner) if inner is not None else None
