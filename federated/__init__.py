"""Training where rows may not be pooled."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from federated.federated_average import FederatedAverage as FederatedAverage
    from federated.federated_sequence import FederatedSequence as FederatedSequence
    from federated.federated_tff import FederatedTFF as FederatedTFF
    from federated.linear.federated_linear import FederatedLinear as FederatedLinear
    from federated.local_only import LocalOnly as LocalOnly
    from federated.policy import Policy as Policy
    from federated.survival.fitting import cox as cox
    from federated.trees.bagged_trees import BaggedTrees as BaggedTrees
    from federated.trees.federated_trees import FederatedTrees as FederatedTrees
    from federated.vertical.vertical_net import VerticalNet as VerticalNet

HOMES = {
    "BaggedTrees": "federated.trees.bagged_trees",
    "FederatedAverage": "federated.federated_average",
    "FederatedLinear": "federated.linear.federated_linear",
    "FederatedSequence": "federated.federated_sequence",
    "FederatedTFF": "federated.federated_tff",
    "FederatedTrees": "federated.trees.federated_trees",
    "LocalOnly": "federated.local_only",
    "Policy": "federated.policy",
    "VerticalNet": "federated.vertical.vertical_net",
    "cox": "federated.survival.fitting",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'federated' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
