"""Traffic on a real Ray Serve with two replicas: they agree, and neither their death nor the conductor's ends it."""

import collections
import contextlib
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import ray

from cluster.connect import Session
from cluster.ports import free_ports
from framework.serving import deployment
from framework.serving.deployment import ServingError
from framework.serving.endpoint import Endpoint, serve, unserve
from framework.serving.server import TOKEN
from framework.serving.traffic.buckets import bucket_of, deal
from framework.serving.traffic.conducting import NAME as CONDUCTOR
from framework.serving.traffic.conducting import NAMESPACE
from framework.serving.traffic.control import challenge, share_out, traffic
from framework.serving.traffic.plan import Canary, TrafficError
from tests.framework.serving.replicas import replicas, until
from tests.framework.serving.traffic.conftest import NAME


@pytest.fixture(scope="module")
def endpoint(registry: str, ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv(TOKEN, raising=False)
        yield serve(f"models:/{NAME}/1", port=free_ports(1)[0], replicas=2)
        for name in (deployment.configuration() or {"models": {}})["models"]:
            unserve(name)


@contextlib.contextmanager
def asked_meanwhile(endpoint: Endpoint) -> Iterator[list[ServingError]]:
    """Asks without a pause until the end of the block; what failed of it."""
    failures: list[ServingError] = []
    ended = threading.Event()

    def asking() -> None:
        while not ended.is_set():
            try:
                endpoint.predict(endpoint.example)
            except ServingError as error:
                failures.append(error)

    thread = threading.Thread(target=asking, daemon=True)
    thread.start()
    try:
        yield failures
    finally:
        ended.set()
        thread.join()


def versions_met(endpoint: Endpoint, ids: list[str]) -> dict[str, str]:
    return {id: endpoint.predict(endpoint.example, request=id)["version"] for id in ids}


def expected(weights: dict[str, float], ids: list[str]) -> dict[str, str]:
    dealt = deal(weights)
    return {id: dealt.arm(bucket_of(id, NAME)) for id in ids}


def test_two_replicas_agree_and_weights_change_within_a_run_of_requests_that_all_succeed(endpoint: Endpoint) -> None:
    ids, before = [f"r{n}" for n in range(60)], replicas()
    with asked_meanwhile(endpoint) as failures:
        told = challenge(NAME, "challenger", weight=20)
        assert [(arm["version"], arm["weight"]) for arm in told["arms"]] == [("1", 80), ("2", 20)]
        assert until(lambda: versions_met(endpoint, ids) == expected({"1": 80, "2": 20}, ids))
        assert share_out(NAME, {"1": 40, "2": 60})["mode"] == "split"
        assert until(lambda: versions_met(endpoint, ids) == expected({"1": 40, "2": 60}, ids))
    assert not failures
    assert replicas() == before
    assert len(before) == 2


def test_requests_without_an_id_are_dealt_in_turn_to_within_one_percent(endpoint: Endpoint) -> None:
    share_out(NAME, {"1": 40, "2": 60})
    assert until(lambda: versions_met(endpoint, ["r1"]) == expected({"1": 40, "2": 60}, ["r1"]))
    met = collections.Counter(endpoint.predict(endpoint.example)["version"] for _ in range(400))
    assert met["2"] == pytest.approx(240, abs=5)  # a replica is 2.4 off at the most; by chance it would be some 10


def test_the_counts_are_of_both_replicas(endpoint: Endpoint) -> None:
    def counted() -> bool:
        """Whether all requests of a new plan were counted; not where a starved replica followed late."""
        share_out(NAME, {"1": 50, "2": 50})
        met = collections.Counter(versions_met(endpoint, [f"r{n}" for n in range(80)]).values())
        return until(lambda: {arm["version"]: arm["requests"] for arm in traffic(NAME)["arms"]} == met, 10)

    assert until(counted)
    told = traffic(NAME)
    with urllib.request.urlopen(endpoint.url.replace("predict", "traffic"), timeout=240) as answer:
        assert json.load(answer)["arms"] == told["arms"]


def test_a_killed_conductor_and_a_killed_replica_leave_the_split_as_it_was(endpoint: Endpoint) -> None:
    ids = [f"r{n}" for n in range(60)]
    right = expected({"1": 50, "2": 50}, ids)
    share_out(NAME, {"1": 50, "2": 50})
    assert until(lambda: versions_met(endpoint, ids) == right)
    ray.kill(ray.get_actor(CONDUCTOR, NAMESPACE), no_restart=False)
    assert versions_met(endpoint, ids) == right  # while it is gone
    assert until(lambda: mode() == "split")
    killed = min(replicas())
    os.kill(killed, signal.SIGKILL)
    assert until(lambda: killed not in replicas() and len(replicas()) == 2)
    assert until(lambda: versions_seen(endpoint, ids) == right)


def mode() -> str:
    """Empty while the conductor starts anew."""
    try:
        return str(traffic(NAME)["mode"])
    except TrafficError:
        return ""


def versions_seen(endpoint: Endpoint, ids: list[str]) -> dict[str, str]:
    """The same, while a replica may still be asked that was killed, or that deals by the plan before."""
    try:
        return versions_met(endpoint, ids)
    except ServingError:
        return {}


def test_a_canary_that_refuses_what_the_champion_takes_is_taken_back(endpoint: Endpoint, narrow: int) -> None:
    steps = Canary(steps=(50.0, 100.0), requests=1_000_000)
    told = share_out(NAME, {"1": 0, str(narrow): 100}, canary=steps)
    assert (told["mode"], told["canary"]["state"]) == ("canary", "running")
    statuses: list[str] = []

    def back() -> bool:
        for _ in range(10):
            try:
                endpoint.predict(endpoint.example)
            except ServingError as error:
                statuses.append(str(error))
        found: dict[str, Any] = traffic(NAME)
        return bool(found["canary"]["state"] == "rolled back")

    assert until(back)
    told = traffic(NAME)
    assert told["canary"]["why"].startswith("errors: ")
    assert all("unknown column" in status for status in statuses)
    assert told["arms"][1]["errors"] > 0 == told["arms"][0]["errors"]
    # The other replica hears of it a moment later, and refuses until then.
    assert until(lambda: set(versions_seen(endpoint, [f"later-{n}" for n in range(6)]).values()) == {"1"})


def test_what_is_not_served_or_not_there_is_a_sentence(endpoint: Endpoint) -> None:
    with pytest.raises(ServingError, match=f"Served: {NAME}"):
        share_out("nobody", {"1": 1})
    with pytest.raises(TrafficError, match="named twice"):
        share_out(NAME, {"1": 1, "champion": 1})
    with pytest.raises(TrafficError, match="weight is 120"):
        challenge(NAME, "2", weight=120)


def test_a_model_served_anew_ends_its_split(endpoint: Endpoint) -> None:
    share_out(NAME, {"1": 50, "2": 50})
    serve(f"models:/{NAME}/2")
    assert until(lambda: traffic(NAME)["mode"] == "single")
    assert [arm["version"] for arm in traffic(NAME)["arms"]] == ["2"]
    assert endpoint.predict(endpoint.example)["version"] == "2"
