import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.contenders import Constant, LightGBM
from framework.leaderboard import Leaderboard
from framework.registry import register
from tests.boards import board, tumours

KNOWN = 340  # rows of the tumours that boards are made of; the rest is fresh


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the store lies; one for all modules, for making its tables costs seconds."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[str]:
    """A SQLite store, the one in use while this module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/registry.db")
        yield os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture(scope="session")
def good() -> Leaderboard:
    return board(tumours().iloc[:KNOWN], LightGBM(rounds=30), target="target", name="tumours", kind="binary")


@pytest.fixture(scope="session")
def poor() -> Leaderboard:
    return board(tumours().iloc[:KNOWN], Constant(), target="target", name="tumours", kind="binary")


@pytest.fixture
def named(store: str, request: pytest.FixtureRequest, good: Leaderboard, poor: Leaderboard) -> str:
    """A name of its own for each test: version 1 a poor champion, version 2 a good challenger."""
    name = request.node.name.replace("[", "-").replace("]", "")
    register(poor, name)
    register(good, name, alias="challenger")
    return name
