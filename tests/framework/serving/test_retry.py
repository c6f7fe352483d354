"""A model that could not be opened is tried again: when the replica is configured anew, and by itself."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from framework.serving import replica as module
from framework.serving.replica import Replica
from tests.framework.serving.http_client import sources


@pytest.fixture
def configuration(cars: Path, tmp_path: Path) -> dict[str, Any]:
    """Of a model that is not there yet."""
    return {"models": sources(cars=cars, late=tmp_path / "late")}


def test_it_is_opened_at_the_next_call_though_nothing_else_has_changed(
    configuration: dict[str, Any], cars: Path, tmp_path: Path
) -> None:
    replica = Replica()

    async def twice() -> None:
        await replica.reconfigure(configuration)
        assert list(replica.failed) == ["late"]
        stays = replica.models["cars"]
        shutil.copytree(cars, tmp_path / "late")
        await replica.reconfigure(configuration)
        assert replica.failed == {}
        assert set(replica.models) == {"cars", "late"}
        assert replica.models["cars"] is stays

    asyncio.run(twice())


def test_an_older_one_under_its_name_answers_until_it_is_opened(
    configuration: dict[str, Any], cars: Path, tmp_path: Path
) -> None:
    replica = Replica()

    async def replaced() -> None:
        await replica.reconfigure({"models": sources(late=cars)})
        older = replica.live("late")
        await replica.reconfigure({"models": sources(late=tmp_path / "late")})
        assert replica.live("late") is older
        shutil.copytree(cars, tmp_path / "late")
        await replica.reconfigure({"models": sources(late=tmp_path / "late")})
        assert replica.live("late").served.uri == str(tmp_path / "late")

    asyncio.run(replaced())


def test_it_is_opened_after_a_pause_by_itself_and_then_no_more(
    configuration: dict[str, Any], cars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    replica = Replica()

    async def wait() -> None:
        await replica.reconfigure(configuration)
        shutil.copytree(cars, tmp_path / "part")
        (tmp_path / "part").rename(tmp_path / "late")
        async with asyncio.timeout(240):
            while replica.failed or "late" not in replica.models:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(240):
            while replica._retrying is not None:
                await asyncio.sleep(0.01)

    asyncio.run(wait())
