"""The Serve configuration of our RayService, deployed as KubeRay would have it deployed, and asked."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from cluster.connect import Session
from cluster.launch.render import placeholders, render
from cluster.ports import free_ports
from framework.predictor import Predictor
from framework.registry import RegistryError, register
from framework.serving import deployment
from framework.serving.access import digest
from framework.serving.application import build
from framework.serving.deployment import APP, ServingError
from framework.serving.server import TOKEN

MANIFEST = Path(__file__).parents[3] / "cluster" / "kuberay" / "rayservice.yaml"


@pytest.fixture
def registry(cars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registry with one version of the cars' model, its champion."""
    store = f"sqlite:///{tmp_path}/registry.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    register(cars, "cars", alias="champion")
    return store


@pytest.fixture
def served(registry: str, ray_session: Session, tmp_path: Path) -> Iterator[str]:
    """The address of a Ray Serve that the manifest's configuration was given to; smaller, and on loopback."""
    from ray import serve
    from ray.serve.context import _get_global_client  # what the dashboard calls for KubeRay's PUT
    from ray.serve.schema import ServeDeploySchema

    text = MANIFEST.read_text()
    values = dict.fromkeys(placeholders(text), "1") | {"NAME": "cars", "MODEL": "models:/cars@champion"}
    configuration: dict[str, Any] = yaml.safe_load(yaml.safe_load(render(MANIFEST, values))["spec"]["serveConfigV2"])
    (port,) = free_ports(1)
    configuration["http_options"] = {"host": "127.0.0.1", "port": port}
    (application,) = configuration["applications"]
    # In a pod these are the Secret's; its size is the pod's too.
    secrets = {"MLFLOW_TRACKING_URI": registry, TOKEN: "secret", "XDG_CACHE_HOME": str(tmp_path / "replica")}
    application["runtime_env"] = {"env_vars": secrets}
    (one,) = application["deployments"]
    one["ray_actor_options"] = {"num_cpus": 0}
    one["autoscaling_config"] = {**one["autoscaling_config"], "min_replicas": 1, "max_replicas": 1}

    folder = deployment.start("127.0.0.1", port)
    try:
        _get_global_client().deploy_apps(ServeDeploySchema.model_validate(configuration))
        until, state = time.monotonic() + 200, None
        while state != "RUNNING" and time.monotonic() < until:
            time.sleep(0.2)
            found = serve.status().applications.get(APP)
            state = found and found.status
            assert found is None or "FAILED" not in found.status, found.message
        assert state == "RUNNING"
        deployment.wait_for("cars")
        yield f"http://127.0.0.1:{port}"
    finally:
        deployment.stop(folder)


def ask(url: str, *, token: str | None, rows: Any = None) -> Any:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    body = None if rows is None else json.dumps(rows).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=240) as answer:
        return json.load(answer)


def test_the_service_of_the_manifest_answers_whoever_bears_its_token(served: str, cars: Path) -> None:
    (described,) = ask(f"{served}/api/v1/models", token="secret")["models"]
    assert (described["name"], described["uri"], described["version"]) == ("cars", "models:/cars/1", "1")
    answer = ask(f"{served}/api/v1/predict/cars", token="secret", rows=described["example"])
    expected = Predictor.open(cars).predict(pd.DataFrame([described["example"]]))[0]["prediction"].iloc[0]
    assert answer["predictions"][0]["prediction"] == pytest.approx(expected)
    for wrong in (None, "guess"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(f"{served}/api/v1/models", token=wrong)
        assert caught.value.code == 401
    configuration = deployment.configuration()
    assert configuration is not None
    assert configuration["token"] == digest(b"secret")


def test_what_cannot_be_served_is_told_before_anything_changes(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ServingError, match="hold no models"):
        build({})
    with pytest.raises(ServingError, match=f"set {TOKEN}"):
        build({"models": {"cars": "models:/cars@champion"}})
    monkeypatch.setenv(TOKEN, "secret")
    with pytest.raises(RegistryError, match="no alias 'chmpion'"):
        build({"models": {"cars": "models:/cars@chmpion"}})
