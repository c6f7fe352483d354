"""The traffic changed from the page: by an administrator alone, from our own pages alone, and as the API would."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from framework.registry import history, versions
from framework.registry.aliases import move
from framework.serving.access import Token, digest
from framework.serving.app import Application
from framework.serving.page.steering import asked_of
from framework.serving.traffic.plan import Canary, TrafficError
from framework.tracking import client as registry_client
from tests.boards import tumours
from tests.framework.serving.http_client import listen, sources
from tests.framework.serving.page.visitor import Visitor
from tests.framework.serving.traffic.conftest import KNOWN, NAME, Serving, configuration

PAGE, CHANGE = f"/models/{NAME}", f"/models/{NAME}/traffic/change"
SHARE, CROWN = f"/models/{NAME}/traffic", f"/models/{NAME}/champion"


@pytest.fixture
def boss(serving: Serving) -> Visitor:
    """An administrator who has signed in."""
    return Visitor(without_token(serving)).sign_in("secret")


def without_token(serving: Serving) -> Any:
    from tests.framework.serving.http_client import Client

    return Client(serving.client.host, serving.client.port)


def weights(serving: Serving) -> dict[str, float]:
    return {arm["version"]: arm["weight"] for arm in serving.traffic()["arms"]}


def test_shares_are_set_shown_again_and_ended(serving: Serving, boss: Visitor) -> None:
    page = boss.get(PAGE)[2]
    assert f'data-load="{CHANGE}"' in page
    forms = boss.get(CHANGE, **{"x-fragment": "1"})[2]
    assert re.findall(r'name="(w-\d)" value="([\d.]*)"', forms)[-3:] == [("w-3", ""), ("w-2", ""), ("w-1", "100")]
    assert "Back to the version that is served" not in forms
    status, headers, _ = boss.post(SHARE, {"w-1": "70", "w-2": "20,0", "w-3": "10", "key": "tenant", "share": "100"})
    assert (status, headers["location"]) == (303, f"{PAGE}#traffic")
    assert weights(serving) == {"1": 70, "2": 20, "3": 10}
    assert serving.traffic()["key"] == "tenant"
    forms = boss.get(CHANGE, **{"x-fragment": "1"})[2]
    assert re.findall(r'name="(w-\d)" value="([\d.]*)"', forms)[-3:] == [("w-3", "10"), ("w-2", "20"), ("w-1", "70")]
    assert 'value="tenant"' in forms
    assert boss.post(SHARE, {"do": "end"})[0] == 303
    assert serving.traffic()["mode"] == "single"


def test_a_canary_and_a_shadow_are_begun(serving: Serving, boss: Visitor) -> None:
    assert boss.post(SHARE, {"w-1": "50", "w-2": "50", "how": "canary"})[0] == 303
    told = serving.traffic()
    assert (told["mode"], told["canary"]["state"], told["canary"]["step"]) == ("canary", "running", 0)
    assert weights(serving) == {"1": 99, "2": 1}
    assert boss.post(SHARE, {"w-1": "1", "shadow": "2", "share": "25"})[0] == 303
    told = serving.traffic()
    assert (told["mode"], told["shadow"]["version"], told["shadow"]["share"]) == ("single", "2", 0.25)
    assert 'value="2" selected' in boss.get(CHANGE, **{"x-fragment": "1"})[2].replace("  ", " ")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"w-1": "", "w-2": "0"}, "no version has a weight above 0"),
        ({"w-1": "many"}, "the weight of version 1 takes a number of 0 or more, such as 10; “many” is none."),
        ({"w-1": "1", "w-2": "-1"}, "the weight of version 2 takes a number"),
        ({"w-1": "1", "w-2": "1", "w-3": "1", "how": "canary"}, "one new version comes in, beside version 1; 2 are"),
        ({"w-1": "1", "how": "canary"}, "beside version 1; 0 are chosen"),
        ({"w-1": "1", "shadow": "1"}, "version 1 is named twice"),
        ({"w-1": "1", "w-99": "1"}, "no version 99"),
        ({"w-1": "1", "shadow": "2", "share": "0"}, "share is 0"),
    ],
)
def test_what_does_not_go_is_told_with_the_form_as_it_was_filled_in(
    serving: Serving, boss: Visitor, form: dict[str, str], said: str
) -> None:
    status, _, body = boss.post(SHARE, form)
    assert 400 <= status < 500
    assert said in body.replace("&#39;", "'")
    assert f'name="w-1" value="{form["w-1"]}"' in body
    assert serving.traffic()["mode"] == "single"


def test_a_form_asks_for_what_the_api_would_be_asked_for() -> None:
    asked = asked_of({"w-2": "10", "w-1": "90", "w-3": "", "key": " ", "shadow": "", "share": ""}, "1")
    assert (asked.arms, asked.key, asked.shadow, asked.canary) == ((("2", 10.0), ("1", 90.0)), None, None, None)
    asked = asked_of({"w-2": "10", "how": "canary"}, "1")
    assert (asked.arms, asked.canary) == ((("1", 0.0), ("2", 100.0)), Canary())
    with pytest.raises(TrafficError, match="percent takes a number"):
        asked_of({"w-1": "1", "shadow": "2", "share": "half"}, "1")


@pytest.fixture
def crowned(serving: Serving) -> Iterator[None]:
    """Leaves the registry as it was."""
    yield
    before = {"champion": 1, "challenger": 2, "archived": None}
    move(registry_client(), NAME, before, act="rolled back", why="for the next test")


@pytest.mark.usefixtures("crowned")
def test_the_champion_is_promoted_by_the_registry_s_rule_and_rolled_back(serving: Serving, boss: Visitor) -> None:
    status, _, body = boss.post(CROWN, {"version": "2", "do": "promote"})
    assert (status, "use python -m recipes.promote" in body.lower().replace("Use", "use")) == (422, True)
    fresh = tumours().iloc[KNOWN : KNOWN + 200]
    rows = fresh.drop(columns="target").to_dict("records")
    serving.ask(rows, **{"X-Request-ID": "all"})
    came = [{"request": "all", "row": place, "outcome": value} for place, value in enumerate(fresh["target"].tolist())]
    assert serving.client.ask("POST", "/api/v1/outcomes", came) == (200, {"taken": 200})
    assert until_logged(serving, 200)
    status, _, body = boss.post(CROWN, {"version": "2", "why": "it looks <b>good</b>", "do": "promote"})
    assert status == 303, body
    assert {each.version: each.alias for each in versions(NAME)}[2] == "champion"
    line = history(NAME).changes[-1]
    assert (line.act, "it looks <b>good</b> (administrator, on the page)" in line.why) == ("promoted", True)
    assert weights(serving) == {"1": 0, "2": 100}
    assert serving.ask(serving.row())["version"] == "2"
    assert boss.post(CROWN, {"do": "rollback"})[0] == 303
    assert {each.version: each.alias for each in versions(NAME)}[1] == "champion"
    assert weights(serving) == {"1": 100}


def until_logged(serving: Serving, rows: int) -> bool:
    """Whether the log shows so many rows, with outcomes."""
    import threading

    from framework.monitoring.outcomes import outcomes
    from framework.monitoring.parts import LogError
    from framework.monitoring.performance import joined
    from framework.monitoring.prediction_log import predictions

    for _ in range(600):
        try:
            if len(joined(predictions(str(serving.log), NAME), outcomes(str(serving.log)))) >= rows:
                return True
        except LogError:
            pass
        threading.Event().wait(0.1)
    return False


def test_a_test_is_overruled_with_a_reason_alone(serving: Serving, boss: Visitor) -> None:
    status, _, body = boss.post(CROWN, {"version": "2", "do": "promote", "force": "on", "why": " "})
    assert (status, "needs a reason" in body) == (422, True)
    status, _, body = boss.post(CROWN, {"version": "", "do": "promote"})
    assert (status, "choose the version" in body) == (422, True)
    status, _, body = boss.post(CROWN, {"do": "rollback"})
    assert (status, "no champion before" in body) == (400, True)


def test_no_form_from_elsewhere_and_nobody_but_an_administrator_changes_it(registry: str) -> None:
    tokens = [Token(name, digest(name.encode()), frozenset({name})).to_json() for name in ("read", "predict", "train")]
    client, server = listen({**configuration(), "tokens": tokens, "secret": "of the server"})
    try:
        boss = Visitor(client).sign_in("secret")
        for path in (SHARE, CROWN):
            for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}, {}):
                status, _, body = boss._ask("POST", path, b"w-2=100&do=rollback", headers)
                assert (status, "own pages" in body) == (403, True)
            for role in ("read", "predict", "train"):
                visitor = Visitor(client).sign_in(role)
                status, _, body = visitor.post(path, {"w-2": "100"})
                assert (status, "the role admin" in body) == (403, True)
                assert visitor.get(CHANGE)[0] == 403
                assert CHANGE not in visitor.get(PAGE)[2]
            assert Visitor(client).post(path, {"w-2": "100"})[0] == 401
        told = client.ask("GET", f"/api/v1/traffic/{NAME}", authorization="Bearer secret")[1]
        assert told["mode"] == "single"
    finally:
        server.should_exit = True


def test_a_model_from_a_folder_or_opened_on_demand_has_no_such_form(registry: str, cars: Any) -> None:
    application = Application()
    known = {"models": sources(cars=cars), "many": configuration()["models"], "token": digest(b"secret")}
    client, server = listen({**known, "secret": "of the server"}, application=application)
    try:
        boss = Visitor(client).sign_in("secret")
        for name in ("cars", NAME):
            assert "/traffic/change" not in boss.get(f"/models/{name}")[2]
            status, _, body = boss.post(f"/models/{name}/traffic", {"w-1": "1"})
            assert (status, "cannot be shared out" in body) == (422, True)
        assert boss.post("/models/nobody/traffic", {"w-1": "1"})[0] == 404
    finally:
        server.should_exit = True
