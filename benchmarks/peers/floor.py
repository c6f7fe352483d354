"""What anybody gets in five lines: python -m benchmarks.peers.floor FOLDER linear|xgboost.

linear: ridge or logistic regression of cross-validated strength on one-hot and standardised columns.
xgboost: its default settings, stopped early on a fifth of the rows.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers.job import Job


def linear(job: Job, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [name for name, kind in job.columns.items() if kind == "number"]
    others = [name for name in job.columns if name not in numbers]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("others", OneHotEncoder(handle_unknown="ignore", min_frequency=5), others),
        ]
    )
    X, y = train.drop(columns=job.target), train[job.target]
    if job.kind == "regression":
        ridge = make_pipeline(columns, RidgeCV(alphas=np.logspace(-2, 4, 25)))
        return np.asarray(ridge.fit(X, y).predict(test))
    strengths: dict[str, Any] = {"Cs": 10, "l1_ratios": (0.0,), "use_legacy_attributes": False}
    logistic = make_pipeline(columns, LogisticRegressionCV(scoring="neg_log_loss", max_iter=2000, **strengths))
    logistic.fit(X, y.astype(str))
    return job.in_order(pd.DataFrame(logistic.predict_proba(test), columns=logistic.classes_))


def xgboost(job: Job, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    from sklearn.model_selection import train_test_split
    from xgboost import XGBClassifier, XGBRegressor

    values = job.kind == "regression"
    y = train[job.target] if values else train[job.target].astype(str).map({c: i for i, c in enumerate(job.classes)})
    settings = {"n_estimators": 2000, "early_stopping_rounds": 50, "enable_categorical": True, "n_jobs": job.cores}
    model = (XGBRegressor if values else XGBClassifier)(**settings, random_state=job.seed)
    X, valid, known, asked = train_test_split(
        train.drop(columns=job.target), y, test_size=0.2, random_state=job.seed, stratify=None if values else y
    )
    model.fit(X, known, eval_set=[(valid, asked)], verbose=False)
    return np.asarray(model.predict(test) if values else model.predict_proba(test))


def main(folder: Path, which: str) -> None:
    job, train, test = Job.read(folder)
    began = time.time()
    predicted = {"linear": linear, "xgboost": xgboost}[which](job, train, test)
    job.answer(folder, predicted, began=began)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
