"""The registry where it is shared: an MLflow server on a real PostgreSQL with files in S3, and one with accounts."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.ports import free_ports
from framework.predictor import Predictor
from framework.registry import RegistryError, archive, history, promote, register, resolve, rollback, versions
from framework.tracking import TrackingError
from tests.boards import tumours
from tests.framework.registry.conftest import KNOWN
from tests.measured import unmeasured

FRESH = tumours().iloc[KNOWN:]
USER, PASSWORD = "admin", "a-long-pass-w0rd"


@contextmanager
def server(folder: Path, *options: str, **environment: str) -> Iterator[str]:
    """An MLflow tracking server on a free port of the loopback, with all its processes gone afterwards."""
    port = free_ports(1)[0]
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "OMP_NUM_THREADS": "1"}
    given = {key: value for key, value in unmeasured().items() if not key.startswith("MLFLOW_TRACKING")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env={**given, **quiet, "PATH": path, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + 240
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=60).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < end, (folder / "server.log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it has nothing to save, and a busy machine would make it take its time
        process.wait(240)


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket in moto's stand-in for S3; the environment names it and its keys."""
    import boto3
    from moto.server import ThreadedMotoServer

    port = free_ports(1)[0]
    stand_in = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    stand_in.start()
    secrets = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**secrets, "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    try:
        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}").create_bucket(Bucket="models")
        yield "s3://models"
    finally:
        stand_in.stop()


@pytest.mark.parametrize("proxied", [True, False], ids=["the server keeps the files", "clients write to S3"])
def test_postgresql_and_s3_hold_versions_cards_and_history(tmp_path, monkeypatch, good, poor, proxied):
    from tests.postgres import postgres

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with postgres() as database, bucket(monkeypatch) as s3:
        files = ("--artifacts-destination", s3) if proxied else ("--default-artifact-root", s3, "--no-serve-artifacts")
        store = database.replace("postgresql://", "postgresql+psycopg://")
        with server(tmp_path / "server", "--backend-store-uri", store, *files) as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            register(poor, "shared")
            version = register(good, "shared", alias="challenger")
            assert version.folder.is_relative_to(tmp_path / "cache")
            assert (version.folder / "card.html").is_file()
            assert version.semantic == "1.0.1"
            promotion = promote("shared", FRESH)
            assert promotion, promotion.verdict
            assert resolve("models:/shared@champion") == version.folder
            assert rollback("shared", why="a look back").after == 1
            told = history("shared")
            assert [(each.act, each.after) for each in told.changes if each.alias == "champion"] == [
                ("registered", 1),
                ("promoted", 2),
                ("rolled back", 1),
            ]
            expected = good.winner.predictor.predict(FRESH)[0]
            assert Predictor.open(version.folder).predict(FRESH)[0].equals(expected)
        import boto3

        held = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"]).list_objects_v2(Bucket="models")
        assert [each["Key"] for each in held["Contents"] if each["Key"].endswith("/card.html")]
    assert not (tmp_path / "mlflow.db").exists()


def test_a_registry_with_accounts_takes_who_may_and_tells_who_may_not(tmp_path, monkeypatch, good, poor):
    """MLflow's basic-auth app: an admin, a reader who may look and not change, and a wrong password."""
    (tmp_path / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/auth.db\nadmin_username = {USER}\n"
        f"authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    guarded = {
        "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of the server",
    }
    files = (
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "kept"),
    )
    with server(tmp_path / "server", "--app-name", "basic-auth", *files, **guarded) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        register(poor, "guarded")
        register(good, "guarded", alias="")
        assert history("guarded").changes[0].who.startswith("admin (")
        account = json.dumps({"username": "reader", "password": "another-long-w0rd"}).encode()
        asked = urllib.request.Request(
            f"{url}/api/2.0/mlflow/users/create",
            account,
            {"Content-Type": "application/json", **_basic(USER, PASSWORD)},
        )
        urllib.request.urlopen(asked, timeout=240).close()

        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong-pass-w0rd")
        with pytest.raises(
            TrackingError, match=r"does not know this user and password\. Check MLFLOW_TRACKING_USERNAME"
        ):
            versions("guarded")

        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-long-w0rd")
        assert [each.version for each in versions("guarded")] == [2, 1]
        for change in (
            lambda: register(poor, "guarded"),
            lambda: promote("guarded", FRESH, challenger=2, force=True, why="x"),
            lambda: archive("guarded", 2),
        ):
            with pytest.raises(RegistryError, match=r"does not let reader \(.*\) do that"):
                change()
        assert len(history("guarded")) == 1


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
