"""A request's deadline, its size, and what it is told where a server has too much to do."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.predictor import Predictor
from framework.serving import batcher
from framework.serving.app import Application
from framework.serving.batcher import Batcher
from framework.serving.replica import Live
from framework.serving.served import Served
from tests.framework.serving.http_client import Client, listen, sources


class Patient:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked = threading.Event()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        self.asked.set()
        assert self.go_on.wait(280)
        return X["wt"].to_numpy()

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> "Patient":
        return cls()


@pytest.fixture
def slow(cars: Path) -> Iterator[tuple[Client, Patient, dict[str, Any]]]:
    """A server of one patient model, and a row."""
    model, application = Patient(), Application()
    client, server = listen({"models": sources(cars=cars)}, application=application)
    served = application.replica.models["cars"].served
    patient = Served("cars", "cars", None, replace(Predictor.open(cars), model=model))
    application.replica.models["cars"] = Live(patient, Batcher(patient.score))
    yield client, model, served.example()
    model.go_on.set()
    server.should_exit = True


def test_what_is_not_answered_in_its_seconds_is_told_so(slow: tuple[Client, Patient, dict[str, Any]]) -> None:
    client, model, row = slow
    status, told = client.ask("POST", "/api/v1/predict/cars", row, **{"X-Timeout-Seconds": "0.05"})
    assert (status, set(told)) == (504, {"error"})
    assert "within the 0.05 s" in told["error"]
    tensors = [{"name": key, "datatype": "FP64", "shape": [1], "data": [value]} for key, value in row.items()]
    status, told = client.ask("POST", "/v2/models/cars/infer", {"inputs": tensors}, **{"X-Timeout-Seconds": "0.05"})
    assert (status, set(told)) == (504, {"error"})
    model.go_on.set()
    status, told = client.ask("POST", "/api/v1/predict/cars", row, **{"X-Timeout-Seconds": "240"})
    assert (status, told["predictions"]) == (200, [{"prediction": row["wt"]}])


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", "", "3601"])
def test_seconds_that_are_none_get_a_sentence(aviary: Client, seconds: str) -> None:
    status, told = aviary.ask("POST", "/api/v1/predict/cars", {}, **{"X-Timeout-Seconds": seconds})
    assert status == 400
    assert "X-Timeout-Seconds" in told["error"]


def test_a_server_with_too_much_to_do_says_when_to_come_back(
    slow: tuple[Client, Patient, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, model, row = slow
    monkeypatch.setattr(batcher, "MOST_WAITING", 10)
    answers: queue.Queue[tuple[int, dict[str, str], bytes]] = queue.Queue()

    def ask(rows: int) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.put(client.raw("POST", "/api/v1/predict/cars", [row] * rows)))
        thread.start()
        return thread

    asking = [ask(1)]
    assert model.asked.wait(240)
    asking += [ask(6) for _ in range(3)]  # one of them waits; with another one there would be twelve rows
    for _ in range(2):
        status, headers, body = answers.get(timeout=240)
        assert (status, headers["retry-after"]) == (503, "1")
        assert b"too many rows are waiting" in body
    model.go_on.set()
    for thread in asking:
        thread.join(240)
    assert [answers.get(timeout=240)[0] for _ in range(2)] == [200, 200]


def test_a_body_that_is_too_much_gets_a_sentence(aviary: Client) -> None:
    many = {f"column {place}": 1 for place in range(10_001)}
    for body, wanted, said in (
        ({"a" * 1_001: 1}, 413, "1,001 letters"),
        (many, 413, "10,001 columns"),
        ({f"column {place}": 1 for place in range(9_000)}, 422, "unknown columns"),
    ):
        status, told = aviary.predict("cars", body)
        assert status == wanted
        assert said in told["error"]
        assert len(told["error"]) < 3_000
    status, told = aviary.ask("POST", "/api/v1/predict/cars", b"x", **{"content-encoding": "gzip"})
    assert status == 415
    assert "compressed" in told["error"]
