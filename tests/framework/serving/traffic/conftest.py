"""Three versions of one registered model for the tests, and a server of them without Ray."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from framework import load
from framework.contender import Context
from framework.contenders import Constant, Linear, Neighbours
from framework.monitoring.prediction_log import PredictionLog
from framework.predictor import Predictor
from framework.registry import register, resolve
from framework.serving.access import digest
from framework.serving.app import Application
from tests.boards import tumours
from tests.framework.serving.http_client import Client, listen

BEARER = {"authorization": "Bearer secret"}
NAME = "tumours"
KNOWN = 169  # rows that the versions have learned from; 400 are fresh


@dataclass
class Serving:
    """A server of version 1, its administrator's client, and what it logs."""

    client: Client
    application: Application
    log: Path
    server: uvicorn.Server

    def row(self, place: int = 0, **more: Any) -> dict[str, Any]:
        example = self.application.replica.models[NAME].served.example()
        return {**example, "mean radius": example["mean radius"] + 0.01 * place, **more}

    def put(self, body: Any) -> tuple[int, Any]:
        return self.client.ask("PUT", f"/api/v1/traffic/{NAME}", body)

    def traffic(self) -> dict[str, Any]:
        status, told = self.client.ask("GET", f"/api/v1/traffic/{NAME}")
        assert status == 200, told
        return dict(told)

    def ask(self, body: Any, **headers: str) -> dict[str, Any]:
        status, told = self.client.ask("POST", f"/api/v1/predict/{NAME}", body, **headers)
        assert status == 200, told
        return dict(told)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with three versions of one name: a constant, the champion; linear, the challenger; neighbours."""
    home = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/registry.db")
        split = load(tumours().iloc[:KNOWN], target="target", name=NAME, kind="binary")
        for contender, alias in ((Constant(), "champion"), (Linear(), "challenger"), (Neighbours(), "")):
            model = contender.fit(split.fold, Context(folder=home))
            register(Predictor(NAME, split.problem, split.schema, model), NAME, alias=alias)
        yield os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture(scope="module")
def narrow(registry: str) -> int:
    """A version that refuses the rows that the others take: it has learned from three of their columns."""
    split = load(tumours().iloc[:KNOWN, -4:], target="target", name=NAME, kind="binary")
    model = Linear().fit(split.fold, Context())
    return register(Predictor(NAME, split.problem, split.schema, model), NAME, alias="").version


@pytest.fixture
def serving(registry: str, tmp_path: Path) -> Iterator[Serving]:
    application = Application([PredictionLog(tmp_path / "log", seconds=0.1)])
    client, server = listen(configuration(), application=application)
    client.headers = dict(BEARER)
    yield Serving(client, application, tmp_path / "log", server)
    server.should_exit = True
    application.replica.observing.close()


def configuration(version: int = 1) -> dict[str, Any]:
    uri = f"models:/{NAME}/{version}"
    source = {"uri": uri, "version": str(version), "folder": str(resolve(uri))}
    return {"models": {NAME: source}, "token": digest(b"secret"), "replicas": 1}
