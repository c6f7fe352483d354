"""Which strategies need no more than a weighted sum of updates."""

from federated.strategies import Strategy, StrategyError, names_of
from federated.strategies.norm_clipped import NormClipped

SUMMABLE = frozenset(
    {
        "Averaged",
        "Ditto",
        "FedAdagrad",
        "FedAdam",
        "FedAvg",
        "FedAvgM",
        "FedBN",
        "FedProx",
        "FedYogi",
        "FineTuned",
        "NormClipped",
    }
)


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
