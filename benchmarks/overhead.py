"""What a contest costs beside plain `xgboost.train`: whole processes, the same rows, rounds and threads.

python -m benchmarks.overhead --runs 3
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROUNDS = int(os.environ.get("ROUNDS", "200"))  # inherited by the processes that are timed
THREADS = 2


def make(path: Path, *, rows: int, columns: int) -> None:
    """A Parquet file of a regression that trees can learn."""
    random = np.random.default_rng(0)
    X = random.standard_normal((rows, columns)).astype("float32")
    y = X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + 0.1 * random.standard_normal(rows)
    pd.DataFrame(X, columns=[f"x{i}" for i in range(columns)]).assign(y=y).to_parquet(path)


def plain(path: Path) -> None:
    """What a researcher would write."""
    import xgboost

    table = pd.read_parquet(path)
    order = np.random.default_rng(0).permutation(len(table))
    test, valid, train = np.split(order, [int(0.2 * len(order)), int(0.36 * len(order))])
    X, y = table.drop(columns="y"), table["y"].to_numpy()
    held = xgboost.QuantileDMatrix(X.iloc[train], y[train], nthread=THREADS)
    ranked = xgboost.QuantileDMatrix(X.iloc[valid], y[valid], ref=held, nthread=THREADS)
    settings = {**parameters(), "nthread": THREADS}
    booster = xgboost.train(settings, held, ROUNDS, evals=[(ranked, "valid")], verbose_eval=False)
    for rows in (valid, test):
        error = booster.inplace_predict(X.iloc[rows]) - y[rows]
        print(f"rmse {np.sqrt(np.mean(error**2)):.5f}")


def parameters() -> dict[str, object]:
    """The contender's own settings, so that both sides do the same work."""
    from framework.contenders import XGBoost

    same = XGBoost()
    return {
        "objective": "reg:squarederror",
        "eval_metric": "rmse",
        "tree_method": "hist",
        "seed": 0,
        "learning_rate": same.learning_rate,
        "max_depth": 6,
        "min_child_weight": same.min_child_weight,
        "subsample": same.subsample,
        "colsample_bytree": same.columns,
        "reg_lambda": same.l2,
    }


def contest(path: Path) -> None:
    """The same as a contest of one."""
    from cluster.connect import connect

    began = time.perf_counter()
    session = connect(cpus=THREADS)
    print(f"ray {time.perf_counter() - began:.2f}")
    from framework import compete, load
    from framework.contenders import XGBoost

    split = load(str(path), target="y", kind="regression")
    board = compete([XGBoost(rounds=ROUNDS, patience=0, cpus=THREADS)], split, minutes=30, refit=False)
    print(board)
    began = time.perf_counter()
    session.close()
    print(f"ray {time.perf_counter() - began:.2f}")


def measure(side: str, path: Path) -> tuple[float, float]:
    """Seconds of a whole process, and those of them that Ray took to start and stop."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.overhead", "--side", side, "--data", str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ray = sum(float(line.split()[1]) for line in told.splitlines() if line.startswith("ray "))
    return time.perf_counter() - began, ray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--side", choices=["plain", "contest"])
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    if asked.side:
        {"plain": plain, "contest": contest}[asked.side](asked.data)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        make(path, rows=asked.rows, columns=asked.columns)
        pairs = [(measure("plain", path), measure("contest", path)) for _ in range(asked.runs)]
    ratios = [(whole - ray) / bare for (bare, _), (whole, ray) in pairs]
    print(f"{asked.rows:,} × {asked.columns}, {ROUNDS} rounds, {THREADS} threads, medians of {asked.runs} pairs\n")
    print("| plain, s | contest, s | of it Ray's start and stop, s | ratio without these (min … max) |")
    print("|---|---|---|---|")
    bare, whole, ray = (
        statistics.median(values)
        for values in ([p[0] for p, _ in pairs], [c[0] for _, c in pairs], [c[1] for _, c in pairs])
    )
    ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} … {max(ratios):.3f})"
    ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} … {max(ratios):.3f})"
    print(f"| {bare:.1f} | {whole:.1f} | {ray:.1f} | {ratio} |")


if __name__ == "__main__":
    main()
