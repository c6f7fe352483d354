"""Who gets to see which page: by signing in, by role, and from our own pages alone."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from framework.serving.page.routes import page_routes
from framework.serving.page.signing import onward_of
from framework.serving.replica import Replica
from tests.framework.serving.http_client import Client, listen
from tests.framework.serving.page.conftest import BIRDS, SECRETS
from tests.framework.serving.page.visitor import Visitor

OPEN = ("/sign-in", "/sign-out", "/assets/page.css")


@pytest.fixture(scope="module")
def client(guarded: dict[str, Any]) -> Iterator[Client]:
    client, server = listen(guarded)
    yield client
    server.should_exit = True


def test_every_page_asks_who_is_not_signed_in_to_sign_in(client: Client) -> None:
    routes, seen = page_routes(Replica()), 0
    for route in routes:
        path = route.path.format(name="cars" if "models" in route.path else "page.css", id="0" * 32)
        if path in OPEN:
            continue
        seen += 1
        if "GET" in (route.methods or ()):
            status, headers, _ = Visitor(client).get(path)
            assert (status, headers["location"]) == (303, "/sign-in" if path == "/" else f"/sign-in?next={quote(path)}")
            status, _, body = Visitor(client).get(path, **{"x-fragment": "1"})
            assert status == 401
            assert "sign in" in body
        else:
            assert Visitor(client).post(path)[0] == 401
    assert seen == len(routes) - 4
    assert seen > 6


def test_a_token_is_taken_once_and_a_cookie_stands_for_it(client: Client) -> None:
    visitor = Visitor(client)
    status, headers, _ = visitor.post("/sign-in", {"token": f" {SECRETS['admin']} ", "next": "/jobs"})
    assert (status, headers["location"]) == (303, "/jobs")
    marks = {part.strip().lower() for part in headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= marks
    assert "secure" not in marks
    assert SECRETS["admin"] not in headers["set-cookie"]
    status, _, body = visitor.get("/")
    assert status == 200
    assert "administrator" in body
    assert visitor.get("/sign-in")[0] == 303  # nothing to do there
    status, headers, _ = visitor.post("/sign-out")
    assert (status, headers["location"]) == (303, "/sign-in")
    assert visitor.get("/")[0] == 303


def test_under_tls_the_cookie_goes_out_under_tls_alone(client: Client) -> None:
    told = Visitor(client).post("/sign-in", {"token": SECRETS["admin"]}, **{"x-forwarded-proto": "https"})[1]
    assert "; secure" in told["set-cookie"].lower()


def test_a_cookie_opens_no_address_of_the_api(client: Client) -> None:
    visitor = Visitor(client).sign_in(SECRETS["admin"])
    assert visitor.get("/api/v1/models")[0] == 401
    assert visitor.post("/api/v1/predict/cars")[0] == 401
    assert visitor.get("/v2")[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {},
    ],
)
def test_a_form_from_elsewhere_is_refused(client: Client, headers: dict[str, str]) -> None:
    visitor = Visitor(client).sign_in(SECRETS["admin"])
    for path in ("/models/cars", "/jobs", f"/jobs/{'0' * 32}/cancel", "/sign-out", "/sign-in"):
        status, _, body = visitor._ask("POST", path, b"", headers)
        assert status == 403, path
        assert "own pages" in body


def test_without_that_header_the_origin_says_whose_form_it_is(client: Client) -> None:
    visitor = Visitor(client).sign_in(SECRETS["admin"])
    here = {"origin": f"http://127.0.0.1:{client.port}", "host": f"127.0.0.1:{client.port}"}
    assert visitor._ask("POST", "/models/cars", b"", here)[0] == 200


def test_a_role_sees_what_it_may_do_and_no_more(client: Client) -> None:
    cars, jobs = "/models/cars", "/jobs"
    asker, reader, trainer = (Visitor(client).sign_in(SECRETS[name]) for name in ("asker", "reader", "trainer"))
    assert 'id="try"' in asker.get(cars)[2]
    assert 'id="traffic"' not in asker.get(cars)[2]
    assert asker.get(f"{cars}/traffic")[0] == 403
    assert "A new contest" not in asker.get(jobs)[2]
    status, _, body = asker.post(jobs, {"data": "x.csv"})
    assert status == 403
    assert "the role train" in body
    assert 'id="try"' not in reader.get(cars)[2]
    assert 'id="traffic"' in reader.get(cars)[2]
    assert reader.post(cars)[0] == 403
    assert "A new contest" in trainer.get(jobs)[2]
    assert trainer.post(cars)[0] == 403


@pytest.mark.parametrize(
    ("told", "onward"),
    [
        ("/jobs", "/jobs"),
        ("/models/a%20b", "/models/a%20b"),
        ("", "/"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example", "/"),
        ("/\\elsewhere.example", "/"),
        ("/models/\\elsewhere.example", "/"),
        ("/models/\r\nset-cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
        ("/api/v1/models", "/"),
        ("http://[", "/"),
    ],
)
def test_the_sign_in_leads_to_our_own_pages_alone(told: str, onward: str) -> None:
    assert onward_of(told) == onward


def test_who_tries_many_wrong_tokens_has_to_wait(guarded: dict[str, Any]) -> None:
    client, server = listen(guarded)
    try:
        visitor = Visitor(client)
        tried = [visitor.post("/sign-in", {"token": f"guess {place}"}) for place in range(40)]
        assert [status for status, _, _ in tried[:3]] == [401, 401, 401]
        assert "does not know that token" in tried[0][2]
        assert 429 in [status for status, _, _ in tried]
        assert not any("set-cookie" in headers for _, headers, _ in tried)
        assert not any("guess" in body for _, _, body in tried)
    finally:
        server.should_exit = True


def test_every_page_says_what_a_browser_may_do_with_it(client: Client) -> None:
    visitor = Visitor(client)
    policies = [visitor.get("/sign-in")[1], visitor.get("/assets/page.js")[1]]
    visitor.sign_in(SECRETS["admin"])
    policies += [
        visitor.get(path)[1] for path in ("/", "/models/cars", f"/models/{quote(BIRDS)}", "/jobs", "/models/nobody")
    ]
    for headers in policies:
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert "no-store" in policies[-1]["cache-control"]


def test_on_loopback_without_tokens_nobody_is_asked_to_sign_in(plain: dict[str, Any]) -> None:
    client, server = listen(plain)
    try:
        visitor = Visitor(client)
        assert visitor.get("/")[0] == 200
        assert visitor.get("/sign-in")[1]["location"] == "/"
        assert "Sign out" not in visitor.get("/")[2]
        assert visitor.get("/", host="elsewhere.example")[0] == 403  # DNS rebinding
        assert "A new contest" not in visitor.get("/jobs")[2]
        assert visitor.post("/jobs", {"data": "x.csv"})[0] == 403
    finally:
        server.should_exit = True
