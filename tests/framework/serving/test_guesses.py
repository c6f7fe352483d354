"""Who guesses tokens has to wait, by address; who bore a right one there before is not held up. Addresses of nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.serving.access import Token, Tokens, digest
from framework.serving.app import Application
from framework.serving.guesses import MOST, WRONG_PER_MINUTE, Guesses, address_of, network
from tests.framework.serving.http_client import Client, listen, sources

SECRET = "of the administrator"
OTHER = "of another client"
LIST = "/api/v1/models"
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def client(cars: Path) -> Iterator[Client]:
    other = Token("other", digest(OTHER.encode()), frozenset({"read"})).to_json()
    configuration = {"models": sources(cars=cars), "token": digest(SECRET.encode()), "tokens": [other]}
    application = Application()
    application.replica.guesses = Guesses(clock=lambda: 0.0)  # no guess is forgiven, however slow the machine is
    client, server = listen(configuration, application=application)
    yield client
    server.should_exit = True


def ask(client: Client, secret: str, address: str) -> tuple[int, dict[str, str], bytes]:
    return client.raw("GET", LIST, authorization=f"Bearer {secret}", **{"x-forwarded-for": address})


def test_slow_guessing_is_refused_by_address_and_nobody_else_is_held_up(client: Client) -> None:
    guesser, neighbour = "203.0.113.7", "203.0.113.8"
    assert ask(client, SECRET, guesser)[0] == 200  # shares the address with who guesses later
    tried = [ask(client, f"guess {place}", guesser) for place in range(20)]
    assert [status for status, _, _ in tried[:5]] == [401] * 5
    assert {status for status, _, _ in tried[5:]} == {429}
    _, told, body = next(each for each in tried if each[0] == 429)
    assert int(told["retry-after"]) >= 1
    assert b"too many wrong tokens" in body
    assert ask(client, OTHER, guesser)[0] == 429  # right, but the guesser must not learn that
    assert ask(client, SECRET, guesser)[0] == 200
    assert ask(client, OTHER, neighbour)[0] == 200
    assert ask(client, "a guess", neighbour)[0] == 401
    assert client.ask("GET", LIST)[0] == 401  # no token at all is no guess


def test_what_a_client_writes_before_the_proxy_s_address_changes_nothing(client: Client) -> None:
    tried = [ask(client, f"guess {place}", f"10.0.0.{place}, 203.0.113.9")[0] for place in range(6)]
    assert tried == [401] * 5 + [429]


def test_guesses_are_forgiven_by_and_by() -> None:
    now, token = 0.0, Token("a", digest(b"a"), frozenset({"read"}))
    guesses = Guesses(clock=lambda: now)
    assert [guesses.wait("x", None) for _ in range(5)] == [0.0] * 5
    assert guesses.wait("x", None) == pytest.approx(60 / WRONG_PER_MINUTE)
    assert guesses.wait("x", token) == pytest.approx(60 / WRONG_PER_MINUTE)
    now += 60 / WRONG_PER_MINUTE
    assert guesses.wait("x", token) == 0.0
    assert guesses.wait("x", None) == 0.0
    assert guesses.wait("x", None) > 0
    assert guesses.wait("x", token) == 0.0  # it was right here before


def test_the_memory_of_guesses_is_bounded() -> None:
    guesses = Guesses(clock=lambda: 0.0)
    for place in range(MOST + 100):
        guesses.wait(f"10.{place >> 16}.{place >> 8 & 255}.{place & 255}", None)
        guesses.wait(f"address {place}", Token(str(place), digest(b""), frozenset({"read"})))
    assert len(guesses._wrong) == len(guesses._right) == MOST


def test_where_a_request_comes_from() -> None:
    def of(client: tuple[str, int] | None, *forwarded: bytes) -> str:
        return address_of({"client": client, "headers": [(b"x-forwarded-for", each) for each in forwarded]})

    assert of(("198.51.100.1", 1), b"203.0.113.9") == "198.51.100.1"  # not from this machine: not believed
    assert of(("127.0.0.1", 1), b"203.0.113.9") == "203.0.113.9"
    assert of(("::1", 1), b"1.2.3.4", b"10.0.0.1, 203.0.113.9") == "203.0.113.9"
    assert of(("127.0.0.1", 1)) == "127.0.0.1"
    assert of(("127.0.0.1", 1), b"unknown") == of(None) == ""
    assert network("2001:db8:1:2:3:4:5:6") == network("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert network("::ffff:203.0.113.9") == "203.0.113.9"


def test_a_revoked_token_is_a_wrong_one() -> None:
    token = Token("a", digest(b"a"), frozenset({"read"}))
    tokens, guesses = Tokens([token]), Guesses(clock=lambda: 0.0)
    assert guesses.wait("x", tokens.borne(b"a")) == 0.0
    assert [guesses.wait("x", Tokens([]).borne(b"a")) for _ in range(6)][-1] > 0


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere", "/models", "/v2/nowhere"])
def test_an_address_of_nobody_is_a_page_for_people_and_json_for_programs(cars: Path, path: str) -> None:
    client, server = listen({"models": sources(cars=cars)})
    try:
        status, told, body = client.raw("GET", path, **HTML)
        assert (status, told["content-type"]) == (404, "text/html; charset=utf-8")
        assert f"There is no page at {path}." in body.decode()
        assert "default-src 'none'" in told["content-security-policy"]
        for headers in ({}, {"accept": "application/json"}, {"accept": "*/*"}):
            status, told, body = client.raw("GET", path, **headers)
            assert (status, told["content-type"]) == (404, "application/json")
        assert client.raw("POST", path, b"{}", **HTML)[1]["content-type"] == "application/json"
    finally:
        server.should_exit = True


def test_what_is_no_page_to_look_at_is_told_so_and_nothing_in_an_address_is_markup(cars: Path) -> None:
    client, server = listen({"models": sources(cars=cars)})
    try:
        status, told, body = client.raw("GET", "/api/v1/predict/cars", **HTML)
        assert (status, told["allow"]) == (405, "POST")
        assert "is no page to look at" in body.decode()
        assert b"<script>alert" not in client.raw("GET", "/%3Cscript%3Ealert(1)%3C/script%3E", **HTML)[2]
    finally:
        server.should_exit = True


def test_where_tokens_are_asked_for_a_browser_sees_that_nothing_is_there_and_a_program_that_it_needs_one(
    client: Client,
) -> None:
    assert client.raw("GET", "/nowhere", **HTML)[0] == 404
    assert client.raw("GET", "/nowhere")[0] == 401
    for path in (LIST, "/openapi.json", "/v2", "/api/v1/nowhere"):  # a cookie opens none of them, so no page does
        assert client.raw("GET", path, **HTML)[0] == 401


def test_guesses_at_all_addresses_count_together(client: Client) -> None:
    bad = {"authorization": "Bearer guess", "x-forwarded-for": "203.0.113.1"}
    paths = ("/v2", "/openapi.json", "/api/v1/predict/cars", "/jobs", LIST, LIST)
    assert [client.raw("GET", path, **bad)[0] for path in paths] == [401] * 5 + [429]
