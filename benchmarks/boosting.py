"""Boosting on Ray Train beside plain `xgboost.train`: whole processes on the same Parquet files, rounds and CPUs.

python -m benchmarks.boosting --rows 5000000 --columns 50 --rounds 100 --engines "plain xgboost" xgboost --runs 3

The engines take turns; each run is told as it ends. Ratios are to the engine named first.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.footprint import Footprint, footprint

CPUS = 2
FILES = 10
HELD = 200_000  # rows to stop by, and as many to test on
ENGINES = ("plain xgboost", "xgboost", "plain lightgbm", "lightgbm", "xgboost_ray")


def make(folder: Path, *, rows: int, columns: int) -> None:
    """Parquet files of a yes-or-no question that trees can learn, float32."""
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(0)
    for part in range(FILES):
        held = rows * (part + 1) // FILES - rows * part // FILES
        X = random.standard_normal((held, columns), dtype=np.float32)
        score = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + random.standard_normal(held)
        table = {f"x{place}": X[:, place] for place in range(columns)} | {"y": (score > 0).astype(np.int8)}
        parquet.write_table(pa.table(table), folder / f"part-{part}.parquet", row_group_size=100_000)


def held(rows: int) -> int:
    return min(HELD, rows // 10)


def plain(folder: Path, engine: str, rounds: int) -> float:
    """What a researcher would write; log loss on rows that were not learned from."""
    import pandas as pd

    table = pd.read_parquet(folder)
    y = table.pop("y").to_numpy()
    apart = held(len(table))
    cuts = slice(2 * apart, None), slice(apart, 2 * apart), slice(0, apart)
    (X, truth), (valid, chosen), (test, asked) = ((table.iloc[cut], y[cut]) for cut in cuts)
    told = _plain_xgboost(X, truth, valid, chosen, test, rounds) if engine == "xgboost" else None
    if told is None:
        told = _plain_lightgbm(X, truth, valid, chosen, test, rounds)
    return float(-np.mean(np.log(np.where(asked == 1, told, 1 - told))))


def _plain_xgboost(X: Any, y: Any, valid: Any, chosen: Any, test: Any, rounds: int) -> Any:
    import xgboost

    rows = xgboost.QuantileDMatrix(X, y, nthread=CPUS)
    watched = xgboost.QuantileDMatrix(valid, chosen, ref=rows, nthread=CPUS)
    settings = {
        "objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist", "nthread": CPUS, "seed": 0,
        "learning_rate": 0.1, "max_depth": 6, "min_child_weight": 3.0, "subsample": 0.8,
    }  # fmt: skip
    booster = xgboost.train(settings, rows, rounds, evals=[(watched, "valid")], verbose_eval=False)
    return booster.inplace_predict(test)


def _plain_lightgbm(X: Any, y: Any, valid: Any, chosen: Any, test: Any, rounds: int) -> Any:
    import lightgbm

    settings = {
        "objective": "binary", "verbosity": -1, "num_threads": CPUS, "seed": 0, "learning_rate": 0.1,
        "num_leaves": 31, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0,
    }  # fmt: skip
    rows = lightgbm.Dataset(X, y)
    watched = [rows.create_valid(valid, chosen)]
    return lightgbm.train(settings, rows, rounds, valid_sets=watched).predict(test)


def ours(folder: Path, engine: str, rounds: int) -> float:
    """The contender on two workers of one CPU each, its rows in the files."""
    import pyarrow.dataset

    import framework.contenders as contenders
    from cluster.connect import connect
    from framework.contender import Context
    from framework.data.stream import stream

    session = connect(cpus=CPUS)
    with tempfile.TemporaryDirectory(prefix="fit-") as scratch:
        apart = held(pyarrow.dataset.dataset(folder).count_rows())
        split = stream(folder, target="y", kind="binary", always=True, most=apart)
        kind = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "xgboost_ray": "XGBoostRay"}[engine]
        made = getattr(contenders, kind)(rounds=rounds, learning_rate=0.1, columns=1.0, patience=0, workers=CPUS)
        model = made.fit(split.fold, Context(folder=Path(scratch)))
        told = model.predict(split.test.X)
    session.close()
    return float(-np.mean(np.log(told[np.arange(len(told)), split.test.y])))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=5_000_000)
    asked.add_argument("--columns", type=int, default=50)
    asked.add_argument("--rounds", type=int, default=100)
    asked.add_argument("--runs", type=int, default=1)
    asked.add_argument("--engines", nargs="+", default=list(ENGINES[:4]), choices=ENGINES)
    asked.add_argument("--one", help="the engine to run here, on the files in --folder")
    asked.add_argument("--folder", type=Path)
    given = asked.parse_args()
    if given.one:
        run = plain if given.one.startswith("plain ") else ours
        print(f"log loss {run(given.folder, given.one.removeprefix('plain '), given.rounds):.5f}")
        return
    print(f"{given.rows:,} rows × {given.columns} columns, {given.rounds} rounds, {CPUS} CPUs, {given.runs} run(s)\n")
    runs: dict[str, list[Footprint]] = {engine: [] for engine in given.engines}
    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        make(Path(folder), rows=given.rows, columns=given.columns)
        subprocess.run(["cat", *map(str, Path(folder).iterdir())], stdout=subprocess.DEVNULL, check=True)
        for number in range(given.runs):
            for engine in given.engines:
                command = [sys.executable, "-m", "benchmarks.boosting", "--one", engine, "--folder", folder]
                took = footprint([*command, "--rounds", str(given.rounds)])
                runs[engine].append(took)
                print(
                    f"run {number + 1}: {engine}: {took.seconds:.1f} s, {took.cpu:.1f} CPU s, "
                    f"{took.peak / 2**20:.0f} MiB, {took.told.splitlines()[-1]}",
                    flush=True,
                )
    print(table(runs))


def table(runs: dict[str, list[Footprint]]) -> str:
    """Medians; ratios to the first engine's run of the same turn, median (min … max)."""
    first = next(iter(runs.values()))
    lines = [f"\n| engine | wall s | × {next(iter(runs))} | CPU s | × | peak MiB | × | told |", "|---" * 8 + "|"]
    for engine, each in runs.items():
        cells = [engine]
        for what, unit in (("seconds", 1), ("cpu", 1), ("peak", 2**20)):
            ratios = sorted(getattr(a, what) / getattr(b, what) for a, b in zip(each, first, strict=True))
            spread = f" ({ratios[0]:.2f} … {ratios[-1]:.2f})" if len(ratios) > 1 else ""
            cells.append(f"{statistics.median(getattr(run, what) for run in each) / unit:.1f}")
            cells.append(f"{statistics.median(ratios):.2f}{spread}")
        lines.append(f"| {' | '.join([*cells, each[-1].told.splitlines()[-1]])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
