"""Outcomes decide between two versions; the alias moves only where that was asked for and the registry agrees."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from framework.registry import history, promotion, versions
from framework.registry.aliases import move
from framework.serving.traffic import conductor
from framework.tracking import client
from tests.boards import tumours
from tests.framework.serving.traffic.conftest import KNOWN, NAME, Serving, configuration

TOGETHER = 5  # rows of a request
EVEN = [{"version": "1", "weight": 50}, {"version": "2", "weight": 50}]


@pytest.fixture
def asked(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Puts a plan in force, asks for 400 fresh tumours, posts what they were, and waits until that is looked at."""
    monkeypatch.setattr(conductor, "LOOKS", 0.05)
    monkeypatch.setattr(conductor, "PATIENCE", 0.0)

    def ask(body: dict[str, Any], *, rows: int = 400, until: str = "") -> dict[str, Any]:
        fresh = tumours().iloc[KNOWN : KNOWN + rows]
        status, told = serving.put(body)
        assert status == 200, told
        asking = fresh.drop(columns="target").to_dict("records")
        for place in range(0, rows, TOGETHER):
            serving.ask(asking[place : place + TOGETHER], **{"X-Request-ID": f"r{place}"})
        came = [
            {"request": f"r{place - place % TOGETHER}", "row": place % TOGETHER, "outcome": value}
            for place, value in enumerate(fresh["target"].tolist())
        ]
        assert serving.client.ask("POST", "/api/v1/outcomes", came) == (200, {"taken": rows})
        told = serving.traffic()
        limit = time.monotonic() + 240
        while time.monotonic() < limit and not (
            told["state"] == until if until else sum(arm["outcomes"] for arm in told["arms"]) == rows
        ):
            time.sleep(0.05)
            told = serving.traffic()
        return told

    return ask


def test_the_test_is_kept_and_nobody_is_promoted_who_was_not_asked_for(asked, serving: Serving) -> None:
    told = asked({"arms": EVEN})
    test = told["test"]
    assert test["metric"] == "log_loss"
    assert test["rows"] == 400 == sum(arm["outcomes"] for arm in told["arms"])
    assert test["interval"][0] <= test["difference"] <= test["interval"][1] < 0  # less loss
    assert test["p_value"] < 0.05
    assert (told["mode"], told["state"]) == ("split", "running")
    assert [each.alias for each in reversed(versions(NAME))][:3] == ["champion", "challenger", ""]


def test_a_challenger_that_wins_is_promoted_by_the_registry_s_rule(asked, serving: Serving) -> None:
    told = asked({"arms": EVEN, "promote_automatically": True}, until="promoted")
    try:
        assert (told["mode"], told["state"]) == ("single", "promoted")
        assert [(arm["version"], arm["weight"]) for arm in told["arms"]] == [("1", 0), ("2", 100)]
        assert {each.version: each.alias for each in versions(NAME)}[2] == "champion"
        line = history(NAME).changes[-1]
        assert (line.act, line.why.startswith("online test, log_loss: ")) == ("promoted", True)
        assert serving.ask(serving.row())["version"] == "2"
        assert serving.client.ask("GET", f"/api/v1/models/{NAME}")[1]["version"] == "2"
    finally:
        before = {"champion": 1, "challenger": 2, "archived": None}
        move(client(), NAME, before, act="rolled back", why="for the next test")


def test_a_challenger_that_loses_is_taken_out(asked, serving: Serving) -> None:
    asyncio.run(serving.application.reconfigure(configuration(version=2)))
    told = asked({"arms": [{"version": "2"}, {"version": "1"}], "promote_automatically": True}, until="rolled back")
    assert (told["mode"], told["state"]) == ("single", "rolled back")
    assert "version 1 does worse than version 2: online test, log_loss" in told["why"]
    assert {each.version: each.alias for each in versions(NAME)}[1] == "champion"  # as it was
    assert serving.ask(serving.row())["version"] == "2"


def test_what_the_registry_refuses_is_not_promoted(asked, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "against", lambda *_, **__: ["the day is wrong"])
    told = asked({"arms": EVEN, "promote_automatically": True}, until="rolled back")
    assert "is not promoted, version 1 stays the champion: the day is wrong" in told["why"]
    assert [each.alias for each in reversed(versions(NAME))][:3] == ["champion", "challenger", ""]


def test_rows_that_are_not_logged_whole_promote_nobody(asked, serving: Serving) -> None:
    (log,) = serving.application.replica.observing.observers
    log._without = frozenset({"mean area"})
    told = asked({"arms": EVEN, "promote_automatically": True}, until="rolled back")
    assert "version 2 is not promoted: " in told["why"]
    assert "mean area" in told["why"]
