"""Requests shared out over HTTP: by weight, by key, to a shadow; a change of weights fails nobody."""

import collections
import threading
from typing import Any

import pytest

from framework.monitoring.prediction_log import predictions
from framework.serving.traffic.buckets import bucket_of, deal
from tests.framework.serving.http_client import Client, listen, sources
from tests.framework.serving.traffic.conftest import NAME, Serving

SPLIT = {"arms": [{"version": 1, "weight": 75}, {"version": "challenger", "weight": 25}]}


def test_a_name_without_a_plan_has_one_arm_and_its_counts(serving: Serving) -> None:
    serving.ask(serving.row())
    assert serving.client.predict(NAME, {"no": "row"})[0] == 422
    told = serving.traffic()
    (arm,) = told["arms"]
    assert (told["name"], told["mode"], told["shadow"], told["canary"], told["test"]) == (NAME, "single", *[None] * 3)
    assert (arm["version"], arm["uri"], arm["weight"]) == ("1", f"models:/{NAME}/1", 100)
    assert (arm["requests"], arm["errors"], arm["outcomes"]) == (2, 1, 0)
    assert 0 < arm["latency_ms"]["p50"] <= arm["latency_ms"]["p99"]


def test_ids_decide_and_the_answer_and_the_log_say_which_version(serving: Serving) -> None:
    status, told = serving.put(SPLIT)
    assert (status, told["mode"]) == (200, "split"), told
    assert [(arm["version"], arm["weight"]) for arm in told["arms"]] == [("1", 75), ("2", 25)]
    dealt = deal({"1": 75, "2": 25})
    expected = {f"r{n}": dealt.arm(bucket_of(f"r{n}", NAME)) for n in range(80)}
    answered = {id: serving.ask(serving.row(), **{"X-Request-ID": id})["version"] for id in expected}
    assert answered == expected
    again = {id: serving.ask(serving.row(), **{"X-Request-ID": id})["version"] for id in expected}
    assert again == expected
    counts = collections.Counter(expected.values())
    assert [arm["requests"] for arm in serving.traffic()["arms"]] == [2 * counts["1"], 2 * counts["2"]]
    serving.application.replica.observing.close()
    logged = predictions(serving.log, NAME).frame
    assert dict(zip(logged["request"], logged["version"], strict=True)) == expected
    assert not logged["shadow"].any()


def test_without_an_id_of_their_own_requests_are_dealt_in_turn(serving: Serving) -> None:
    serving.put(SPLIT)
    met = collections.Counter(serving.ask(serving.row())["version"] for _ in range(100))
    assert met["2"] == pytest.approx(25, abs=3)


def test_a_header_or_a_column_makes_a_version_stick(serving: Serving) -> None:
    assert serving.put({**SPLIT, "key": "tenant"})[0] == 200
    dealt = deal({"1": 75, "2": 25})
    for tenant in range(20):
        right = dealt.arm(bucket_of(str(tenant), NAME))
        for value in (tenant, str(tenant), float(tenant)):
            assert serving.ask(serving.row(tenant=value))["version"] == right  # it is no column of the model
        assert (
            serving.ask([serving.row(tenant=99), serving.row(tenant=3)], **{"X-Routing-Key": str(tenant)})["version"]
            == right
        )
    mixed = serving.ask([serving.row(tenant=1), serving.row(tenant=2)])
    assert "several values of 'tenant'" in mixed["warnings"][0]
    assert len(mixed["predictions"]) == 2
    assert serving.ask([serving.row(tenant=1)] * 2)["warnings"] == []
    assert serving.ask(serving.row())["version"] in ("1", "2")  # without the key: by its id


def test_weights_change_while_requests_run_and_none_fails(serving: Serving) -> None:
    ended, statuses = threading.Event(), collections.Counter[tuple[int, Any]]()

    def asking() -> None:
        while not ended.is_set():
            status, told = serving.client.predict(NAME, serving.row())
            statuses[status, told.get("version")] += 1

    threads = [threading.Thread(target=asking, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    opened = []
    try:
        for weight in (10, 50, 90, 100):
            body = {"arms": [{"version": "1", "weight": 100 - weight}, {"version": "2", "weight": weight}]}
            assert serving.put(body)[0] == 200
            opened.append(serving.application.replica.routing.version(NAME, "2"))
        assert serving.client.ask("DELETE", f"/api/v1/traffic/{NAME}")[1]["mode"] == "single"
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in statuses} == {200}
    assert {version for _, version in statuses} == {"1", "2"}
    assert all(live is opened[0] for live in opened)  # opened once
    assert serving.ask(serving.row())["version"] == "1"


def test_a_shadow_answers_nobody_agrees_in_part_and_is_logged_apart(serving: Serving) -> None:
    status, told = serving.put({"arms": [{"version": "1"}], "shadow": {"version": "2", "share": 0.5}})
    assert (status, told["mode"]) == (200, "single")
    for place in range(40):
        assert serving.ask(serving.row(place), **{"X-Request-ID": f"r{place}"})["version"] == "1"
    until = threading.Event()
    for _ in range(2_400):
        told = serving.traffic()["shadow"]
        if told["requests"] == 20:
            break
        until.wait(0.05)
    assert (told["version"], told["share"], told["requests"], told["errors"], told["dropped"]) == ("2", 0.5, 20, 0, 0)
    assert told["agreement"]["rows"] == 20
    assert 0 < told["agreement"]["difference"] < 1
    assert told["latency_ms"]["p50"] > 0
    serving.application.replica.observing.close()
    answered, mirrored = (predictions(serving.log, NAME, shadow=shadow).frame for shadow in (False, True))
    assert (len(answered), len(mirrored)) == (40, 20)
    assert set(mirrored["version"]) == {"2"}
    assert mirrored["shadow"].all()
    assert set(mirrored["request"]) < set(answered["request"])


def test_a_version_is_asked_by_its_own_address_too(serving: Serving) -> None:
    serving.put(SPLIT)
    for version, status in (("1", 200), ("2", 200), ("3", 404)):
        assert serving.client.ask("GET", f"/v2/models/{NAME}/versions/{version}")[0] == status
    assert sum(arm["requests"] for arm in serving.traffic()["arms"]) == 0


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "not JSON"),
        ([], 400, "no object"),
        ({"arms": []}, 400, "no list of versions"),
        ({"arms": [{"version": "1"}], "wieght": 3}, 400, "'wieght'"),
        ({"arms": [{"version": "1", "weight": "half"}]}, 400, "weight is 'half'"),
        ({"arms": [{"version": True}]}, 422, "no number and no alias"),
        ({"arms": [{"version": "../2"}]}, 422, "no number and no alias"),
        ({"arms": [{"version": "1"}, {"version": "champion"}]}, 422, "named twice"),
        ({"arms": [{"version": "1"}, {"version": "2", "weight": -1}]}, 422, "a weight is negative"),
        ({"arms": [{"version": "1"}, {"version": "2", "weight": 0.001}]}, 422, "less than 0.01 %"),
        ({"arms": [{"version": "1"}, {"version": "17"}]}, 404, "no version 17"),
        ({"arms": [{"version": "1"}, {"version": "nobody"}]}, 404, "no alias 'nobody'"),
        ({"arms": [{"version": "1"}], "canary": {}}, 422, "takes two arms"),
        ({"arms": [{"version": "1"}, {"version": "2"}], "canary": {"steps": [5, 1, 100]}}, 422, "they grow"),
        ({"arms": [{"version": "1"}], "shadow": {"version": "2", "share": 2}}, 422, "share is 2"),
        ({"arms": [{"version": "1"}], "shadow": {"version": "1"}}, 422, "named twice"),
    ],
)
def test_what_cannot_be_shared_out_gets_a_sentence_and_changes_nothing(
    serving: Serving, body: Any, status: int, said: str
) -> None:
    answered, told = serving.put(body)
    assert (answered, set(told)) == (status, {"error"})
    assert said in told["error"]
    assert serving.traffic()["mode"] == "single"


def test_who_may_look_and_who_may_change_it(registry: str, cars) -> None:
    client, server = listen({"models": sources(cars=cars)})  # asks for no token: whoever asks here may read
    assert client.ask("GET", "/api/v1/traffic/cars")[1]["arms"][0]["version"] is None
    assert client.ask("PUT", "/api/v1/traffic/cars", SPLIT)[0] == 403
    assert client.ask("GET", "/api/v1/traffic/nobody")[0] == 404
    server.should_exit = True


def test_a_model_from_a_folder_has_no_versions_to_share_between(serving: Serving, cars) -> None:
    client, server = listen({"models": sources(cars=cars), "token": serving.application.replica.configuration["token"]})
    status, told = Client(client.host, client.port, **serving.client.headers).ask("PUT", "/api/v1/traffic/cars", SPLIT)
    assert status == 422
    assert "served from a folder" in told["error"]
    server.should_exit = True


def test_four_arms_get_their_shares_to_within_one_percent_of_ten_thousand(serving: Serving, narrow: int) -> None:
    shares = {"1": 55.0, "2": 25.0, "3": 15.0, str(narrow): 5.0}
    body = {"arms": [{"version": version, "weight": weight} for version, weight in shares.items()]}
    status, told = serving.put(body)
    assert (status, told["mode"]) == (200, "split"), told
    assert {arm["version"]: arm["weight"] for arm in told["arms"]} == shares
    routing, live = serving.application.replica.routing, serving.application.replica.models[NAME]
    by_id = collections.Counter(
        routing.meet(live, [{}], {}, f"request {place}").live.served.version for place in range(10_000)
    )
    in_turn = collections.Counter(routing.meet(live, [{}], {}, "").live.served.version for place in range(10_000))
    for version, share in shares.items():
        assert in_turn[version] == pytest.approx(100 * share, abs=2)
        assert by_id[version] == pytest.approx(100 * share, abs=150)  # by hash: three standard deviations
    changed = {**shares, "2": 0.0, "3": 40.0}
    kept = {place: routing.meet(live, [{}], {}, f"r{place}").live.served.version for place in range(500)}
    assert serving.put({"arms": [{"version": v, "weight": w} for v, w in changed.items()]})[0] == 200
    now = {place: routing.meet(live, [{}], {}, f"r{place}").live.served.version for place in range(500)}
    assert {was for place, was in kept.items() if now[place] != was} == {"2"}  # nobody else changes versions
    assert {now[place] for place, was in kept.items() if was == "2"} == {"3"}
