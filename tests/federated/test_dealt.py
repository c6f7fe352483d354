"""Hosts that nobody can hold silos in are refused before anything is started."""

from typing import Any

import pytest

from federated import (
    BaggedTrees,
    FederatedAverage,
    FederatedLinear,
    FederatedSequence,
    FederatedTFF,
    FederatedTrees,
    VerticalNet,
    cox,
)
from federated.dealt import DealError
from framework import Context
from tests.federated.portfolios import filed, fold_of

KIN = [
    FederatedAverage(hosts=-1),
    FederatedLinear(hosts=-1),
    FederatedTrees(hosts=-1),
    BaggedTrees(hosts=-1),
    FederatedSequence(hosts=-1),
    FederatedTFF(hosts=-1),
    VerticalNet({"clinic": ("size",)}, hosts=-1),
]


@pytest.mark.parametrize("contender", KIN, ids=lambda contender: type(contender).__name__)
def test_fewer_hosts_than_none_are_refused(contender: Any) -> None:
    with pytest.raises(DealError, match=r"hosts=-1 actors cannot hold silos: .*1 or more"):
        contender.fit(fold_of()[0], Context())


def test_fewer_hosts_than_none_hold_no_cox_model() -> None:
    with pytest.raises(DealError, match="hosts=-1"):
        cox(filed(), duration="age", event="heated", columns={"size": "number"}, hosts=-1)
