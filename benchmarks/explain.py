"""How long explanations take: SHAP of 1,000 rows of a 500-tree XGBoost, LIME of 100 rows, and all else, in medians.

python -m benchmarks.explain --runs 5 --features 20

One process, no Ray, as many threads as OMP_NUM_THREADS or the machine gives an engine; the packages that a method is
imported from are loaded before the clock starts. Beside SHAP stands what the package shap itself takes for the same
booster and rows.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from framework.contender import Context
from framework.contenders.xgboost import XGBoost
from framework.data.load import load
from framework.data.split import Split
from framework.explanation import explain
from framework.predictor import Predictor
from framework.problem import Problem

TABLE_ROWS = 10_000
TREES = 500


def trained(features: int) -> tuple[Predictor, Split]:
    """A booster of 500 trees of depth 6 on a made table, a fifth of its columns categories."""
    random = np.random.default_rng(0)
    X = {f"x{place}": random.normal(size=TABLE_ROWS) for place in range(features)}
    score = X["x0"] * X["x1"] + np.sin(2 * X["x2"]) + random.normal(size=TABLE_ROWS)
    labels = {name: pd.cut(X[name], 5, labels=list("abcde")) for name in list(X)[3 : 3 + features // 5]}
    frame = pd.DataFrame({**X, **labels, "y": np.where(score > 0, "yes", "no")})
    split = load(frame, Problem("explain", "binary", target="y"), seed=0)
    booster = XGBoost(rounds=TREES, patience=0, depth=6).fit(split.fold, Context(seed=0))
    return Predictor("explain", split.problem, split.schema, booster), split


def timed(work: Callable[[], Any], runs: int) -> tuple[float, float, float]:
    """Median, least and most seconds, after one run that nobody counts."""
    work()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), min(taken), max(taken)


def package_shap(predictor: Predictor, X: pd.DataFrame) -> Callable[[], Any]:
    import shap

    model: Any = predictor.model
    explainer = shap.TreeExplainer(model.booster, feature_perturbation="tree_path_dependent")
    rows = model.native.matrix(X)
    return lambda: explainer(rows, check_additivity=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--features", type=int, default=20)
    asked = parser.parse_args()
    predictor, split = trained(asked.features)
    frame = split.test.take(np.arange(1_000))

    def told(method: str, rows: int) -> Callable[[], Any]:
        return lambda: explain(predictor, frame, methods=[method], rows=rows, seconds=600)

    works = {
        "SHAP, 1,000 rows": told("shap", 1_000),
        "LIME, 100 rows, 3 seeds each": told("lime", 100),
        "permutation, 1,000 rows": told("permutation", 1),
        "partial dependence, 6 columns": told("pdp", 1),
        "counterfactuals, 100 rows": told("counterfactual", 100),
        "surrogate, 1,000 rows": told("surrogate", 1),
        "slices, 1,000 rows": told("slices", 1),
    }
    try:
        works["the package shap itself, 1,000 rows"] = package_shap(predictor, frame.X)
    except Exception as error:  # it does not open every booster
        print(f"the package shap cannot explain this booster: {error}")
    columns = len(split.schema.names)
    print(f"XGBoost, {TREES} trees of depth 6, {columns} columns; medians of {asked.runs} runs (least … most)\n")
    print("| explanation | seconds | spread |\n|---|---:|---|")
    for name, work in works.items():
        median, least, most = timed(work, asked.runs)
        print(f"| {name} | {median:.2f} | {least:.2f} … {most:.2f} |", flush=True)


if __name__ == "__main__":
    main()
