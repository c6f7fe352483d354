import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.contenders import Constant, LightGBM
from framework.leaderboard import Leaderboard
from framework.registry import register
from tests.boards import board, tumours

KNOWN = 340  # rows of the tumours that boards are made of; the rest is fresh


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A SQLite store whose tables exist; making them costs seconds."""
    folder, before = tmp_path_factory.mktemp("registry"), Path.cwd()
    kept = os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ["MLFLOW_TRACKING_URI"] = where = f"sqlite:///{folder}/registry.db"
    os.chdir(folder)
    yield where
    os.chdir(before)
    del os.environ["MLFLOW_TRACKING_URI"]
    if kept is not None:
        os.environ["MLFLOW_TRACKING_URI"] = kept


@pytest.fixture(scope="package")
def good() -> Leaderboard:
    return board(tumours().iloc[:KNOWN], LightGBM(rounds=30), target="target", name="tumours", kind="binary")


@pytest.fixture(scope="package")
def poor() -> Leaderboard:
    return board(tumours().iloc[:KNOWN], Constant(), target="target", name="tumours", kind="binary")


@pytest.fixture
def named(store: str, request: pytest.FixtureRequest, good: Leaderboard, poor: Leaderboard) -> str:
    """A name of its own for each test: version 1 a poor champion, version 2 a good challenger."""
    name = request.node.name.replace("[", "-").replace("]", "")
    register(poor, name)
    register(good, name, alias="challenger")
    return name
