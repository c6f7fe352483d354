"""What a window's error weighs in a forecast's metric, in units that silos agree on."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cluster.wire import Arrays
from federated.agreement import Agreement
from federated.channel import Direct
from federated.exchange import Exchange
from federated.federated_average import FederatedAverage
from federated.policy import Policy
from federated.secure_aggregation.identity import Identity
from federated.source import Held
from federated.strategies.fedavg import FedAvg
from framework.contenders.sequence import SQUARED
from framework.contenders.windows import Windows
from framework.data.frame import Frame, Truth

WEIGHT = "weight of a window"
FURTHEST = (0.01, 20.0)  # that a window may weigh, in units of the mean one


def weight_of(windows: Windows, codes: np.ndarray, origins: np.ndarray, metric: str) -> np.ndarray:
    """As the pooled net (`framework.contenders.sequence`) has it, shape (windows,)."""
    scale = windows.scale(codes, origins)
    if metric in SQUARED:
        return scale**2
    size = np.ones(len(codes))
    if metric == "mase":
        size = windows.history.error[codes]
    if metric in ("smape", "mape"):
        mean = np.abs(windows.history.mean(codes, origins, windows.length))
        size = np.maximum(mean, windows.history.error[codes])
    return np.asarray(scale / size)


def weigh_alike(rows: Mapping[str, Arrays], identities: Mapping[str, Identity], *, least: int, seed: int) -> None:
    """Divides each silo's weights, the last column of its "y" and "valid y", by their mean over all silos' windows to
    learn from. Silos agree on it as on the mean of a column: in the open or, where they have keys, by masked sums.

    least: the fewest windows that a figure which leaves a silo may stand for.
    Raises FederationError where a silo's part is missing.
    """
    told = {silo: arrays["y"][:, -1].astype(np.float64) for silo, arrays in rows.items()}
    policy = Policy(minimum_rows=least, minimum_count=least, secure=bool(identities))
    sources = [Held(silo, _frame(weight), _frame(weight[:0]), policy) for silo, weight in told.items()]
    asked = FederatedAverage(strategy=FedAvg(), rounds=1, secure=bool(identities))
    job = asked.job_of(WEIGHT, "rmse", ((WEIGHT, "number"),), (), seed)
    channel = Direct(sources, None, identities)
    exchange = Exchange(channel, float("inf"), float("inf"), job)
    preparation, _ = Agreement(exchange, job, quorum=len(rows), units=False).reach(channel.registry)
    for arrays in rows.values():
        for name in ("y", "valid y"):
            arrays[name][:, -1] = np.clip(arrays[name][:, -1] / preparation.target.shift, *FURTHEST)


def _frame(weight: np.ndarray) -> Frame:
    """Weights as a column, and as the answers to it."""
    return Frame(pd.DataFrame({WEIGHT: weight}), Truth(y=weight))
