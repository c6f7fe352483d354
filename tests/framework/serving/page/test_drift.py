"""Drift on the page: of the latest rows of the log, measured once a minute, charts and all."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest

from framework.monitoring.prediction_log import PredictionLog
from framework.serving.live import open_model
from framework.serving.observing import Observed
from framework.serving.page import drift
from framework.serving.page.drift import KEPT_SECONDS, Watch, watched
from framework.serving.served import Served
from tests.framework.serving.http_client import Client, listen
from tests.framework.serving.page.conftest import BIRDS, NASTY
from tests.framework.serving.page.visitor import Visitor


@pytest.fixture(scope="module")
def served(birds: Path) -> Served:
    return open_model(BIRDS, uri=str(birds), version="1", folder=str(birds))


def write(log: Path, served: Served, rows: pd.DataFrame, *, at: float) -> None:
    """Logs each of these rows as a request of its own, a second apart, the last one at `at`."""
    taken = rows[list(served.predictor.schema.names)].astype(object).where(rows.notna(), None).to_dict("records")
    answers = served.score([[row] for row in taken])
    writer = PredictionLog(log, rows=100)
    for place, (row, answer) in enumerate(zip(taken, answers, strict=True)):
        assert isinstance(answer, dict), answer
        when = at - len(taken) + place
        writer.observe(Observed(served.name, "1", [row], answer["predictions"], 0.01, 200, when, f"r{place}"))
    writer.close()


@pytest.fixture(scope="module")
def log(served: Served, penguins: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of 344 birds with deeper bills than those of training."""
    folder = tmp_path_factory.mktemp("drifting")
    write(folder, served, penguins.assign(**{NASTY: penguins[NASTY] + 4}), at=time.time())
    return folder


@pytest.fixture
def client(plain: dict[str, Any], log: Path) -> Iterator[Client]:
    observers = [{"make": "framework.monitoring.prediction_log:PredictionLog", "options": {"folder": str(log)}}]
    models = plain["models"] | {BIRDS: {**plain["models"][BIRDS], "version": "1"}}
    client, server = listen({"models": models, "observers": observers})
    yield client
    server.should_exit = True


def test_the_column_that_moved_is_charted_first(client: Client) -> None:
    status, _, body = Visitor(client).get(f"/models/{quote(BIRDS)}/drift", **{"x-fragment": "1"})
    assert status == 200
    assert body.count("<figure>") == 6
    assert NASTY not in body
    first = body.partition("<figure>")[2].partition("</figure>")[0]
    assert NASTY.replace("<", "&lt;").replace(">", "&gt;") in first
    assert "drifted" in first
    assert "in training" in first
    assert "latest 344 rows" in body
    alone = Visitor(client).get(f"/models/{quote(BIRDS)}/drift")[2]
    assert "<h1>Drift of " in alone


def test_a_model_without_a_reference_or_a_log_says_so(client: Client, plain: dict[str, Any]) -> None:
    assert "keeps no training reference" in Visitor(client).get("/models/cars/drift")[2]
    unlogged, server = listen({"models": plain["models"]})
    try:
        visitor = Visitor(unlogged)
        assert "No prediction log is kept here" in visitor.get("/models/cars/drift")[2]
        assert 'id="drift"' not in visitor.get("/models/cars")[2]
    finally:
        server.should_exit = True


def test_only_the_latest_rows_of_the_last_day_are_looked_at(
    served: Served, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "MOST_ROWS", 150)
    found = watched(served, str(log)).found
    assert found is not None
    assert 150 <= found.rows <= 250  # whole files of a hundred
    later = watched(served, str(log), until=time.time() + 3 * 86_400)
    assert (later.found, later.remark) == (None, "Nothing is logged of this version in the last 24 hours.")
    other = watched(replace(served, version="2"), str(log))
    assert (other.found, other.remark) == (None, "Nothing is logged of this version in the last 24 hours.")
    assert "Nothing is logged of it yet" in watched(replace(served, name="unasked"), str(log)).remark


def test_a_drift_is_measured_once_a_minute_and_anew_for_another_version(
    served: Served, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked, measure = 0.0, [], drift.watched

    def counted(served: Served, folder: str) -> drift.Watched:
        asked.append(served)
        return measure(served, folder)

    monkeypatch.setattr(drift, "watched", counted)
    other = replace(served)

    async def look() -> None:
        nonlocal now
        watch = Watch(clock=lambda: now)
        both = await asyncio.gather(watch.of(served, str(log)), watch.of(served, str(log)))
        assert both[0] is both[1]
        now += KEPT_SECONDS - 1
        assert await watch.of(served, str(log)) is both[0]
        now += 1
        assert await watch.of(served, str(log)) is not both[0]
        await watch.of(other, str(log))

    asyncio.run(look())
    assert [each is served for each in asked] == [True, True, False]
