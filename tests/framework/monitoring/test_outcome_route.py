"""Predictions asked and outcomes posted over HTTP, into one log."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from framework.monitoring.health import monitor
from framework.monitoring.outcomes import outcomes
from framework.monitoring.prediction_log import PredictionLog
from framework.predictor import Predictor
from framework.serving.app import Application
from tests.framework.serving.http_client import Client, listen, sources

PATH = "/api/v1/outcomes"


@pytest.fixture
def logging(model: Path, tmp_path: Path) -> Iterator[tuple[Client, Application, Path]]:
    """A server of one model with a log, the application behind it, and the log's folder."""
    application = Application([PredictionLog(tmp_path / "log", seconds=60)])
    client, server = listen({"models": sources(leavers=model)}, application=application)
    yield client, application, tmp_path / "log"
    server.should_exit = True
    application.replica.observing.close()


def test_what_came_true_is_posted_by_the_ids_of_the_requests(logging, model: Path, staff: pd.DataFrame) -> None:
    client, application, folder = logging
    live = staff.iloc[900:1000].reset_index(drop=True)
    columns = list(Predictor.open(model).schema.names)
    rows = live[columns].astype(object).to_dict("records")
    for place in range(0, 100, 50):  # two requests of fifty rows
        body = rows[place : place + 50]
        assert client.ask("POST", "/api/v1/predict/leavers", body, **{"X-Request-ID": f"r{place}"})[0] == 200
    told = [
        {"request": f"r{place - place % 50}", "row": place % 50, "outcome": str(value)}
        for place, value in enumerate(live["Attrition"])
    ]
    assert client.ask("POST", PATH, told) == (200, {"taken": 100})
    assert client.ask("POST", PATH, {"request": "r0", "row": 0, "outcome": "Yes"}) == (200, {"taken": 1})
    application.replica.observing.close()
    seen = monitor(model, folder)
    assert seen.traffic.requests == 2
    assert seen.performance.whole.rows == seen.traffic.rows == 100
    assert outcomes(folder).set_index(["request", "row"])["outcome"]["r0", 0] == "Yes"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ([], 400, "the list of outcomes is empty"),
        (b"{", 400, "the body is not JSON"),
        ([{"request": "r", "outcome": 1}, {"request": 7, "outcome": 1}], 400, "outcome 2 has request 7"),
        ([{"request": "r", "outcome": 1}] * 10_001, 413, "10,001 outcomes in one request"),
    ],
)
def test_outcomes_that_are_none_are_refused_with_a_sentence(logging, body, status: int, said: str) -> None:
    client, _, folder = logging
    answered, told = client.ask("POST", PATH, body)
    assert answered == status
    assert said in told["error"]
    assert len(outcomes(folder)) == 0


def test_a_server_without_a_log_takes_none(model: Path) -> None:
    client, server = listen({"models": sources(leavers=model)})
    status, told = client.ask("POST", PATH, {"request": "r", "outcome": 1})
    server.should_exit = True
    assert status == 404
    assert "Serve with --log" in told["error"]


def test_an_outcome_that_comes_while_the_log_is_closed_is_written(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    posting = log.outcomes
    log.close()
    posting.post([{"request": "late", "outcome": 1}])
    assert outcomes(tmp_path)["request"].tolist() == ["late"]
