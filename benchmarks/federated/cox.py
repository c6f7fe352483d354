"""Cox models by sums beside statsmodels' PHReg on the pooled rows, stratified alike: CPU-seconds and how far apart.

python -m benchmarks.federated cox --rows 500 50000 --repeats 5

Made-up rows of ten silos, half of them censored; both sides in one process, in turn; medians.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from federated import Policy, cox
from federated.source import Filed

SILOS = 10
COLUMNS = 20


def tenants(rows: int, seed: int = 0) -> pd.DataFrame:
    """How long tenants stayed, in months; the first column hastens their leaving."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(rows, COLUMNS))
    told = pd.DataFrame(X, columns=[f"x{place}" for place in range(COLUMNS)])
    months = draw.exponential(size=rows) * np.exp(-X[:, 0])
    return told.assign(months=months, left=(draw.random(rows) < 0.5).astype(int), owner=np.arange(rows) % SILOS)


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU-seconds, and what it returned."""
    began = time.process_time()
    told = work()
    return time.process_time() - began, told


def measure(rows: int, repeats: int) -> None:
    """Prints one row of the table."""
    from statsmodels.duration.hazard_regression import PHReg

    table = tenants(rows)
    names = [f"x{place}" for place in range(COLUMNS)]
    silos = [Filed(str(name), part.reset_index(drop=True), Policy()) for name, part in table.groupby("owner")]
    asked: dict[str, Any] = {"duration": "months", "event": "left", "columns": dict.fromkeys(names, "number")}
    ours, theirs, apart = [], [], 0.0
    for _ in range(repeats):
        mine, model = spent(lambda: cox(silos, **asked, hosts=0))
        other, pooled = spent(
            lambda: PHReg(
                table["months"], table[names], status=table["left"], strata=table["owner"], ties="breslow"
            ).fit(disp=0)
        )
        ours.append(mine)
        theirs.append(other)
        apart = max(apart, float(np.abs(model.coefficients - np.asarray(pooled.params)).max()))
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"| {rows:,} | {mine * 1e3:.0f} | {other * 1e3:.0f} | {mine / other:.2f} | {apart:.0e} |", flush=True)


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.federated cox", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 5_000, 50_000])
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args(given)
    print(f"load {os.getloadavg()[0]:.0f}\n")
    print("| rows | ours, CPU-ms | PHReg, CPU-ms | ratio | apart |\n|---|---|---|---|---|")
    for rows in asked.rows:
        measure(rows, asked.repeats)
