"""A session's cookie: who signed in, for twelve hours, on every replica; nobody makes one without the token."""

import pytest

from framework.serving.access import Token, Tokens, digest
from framework.serving.page import cookie

NOW = 1_800_000_000.0
ADA, BOB = (Token(name, digest(name.encode()), frozenset({"read"})) for name in ("ada", "bob"))


def header(value: str) -> str:
    return f'theme=dark; of-another=a"b|c{{; {cookie.NAME}={value}; last'


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([ADA, BOB], secret="of the server")


def test_each_replica_of_a_configuration_knows_who_signed_in_on_another(tokens: Tokens) -> None:
    value = cookie.issue(tokens, BOB, now=NOW)
    other = Tokens([ADA, BOB], secret="of the server")
    assert cookie.borne(other, header(value), now=NOW + 1) == BOB
    assert cookie.borne(other, header(cookie.issue(tokens, ADA, now=NOW)), now=NOW) == ADA


def test_it_holds_neither_the_token_nor_its_digest(tokens: Tokens) -> None:
    value = cookie.issue(tokens, ADA, now=NOW)
    assert "ada" not in value
    assert ADA.sha256 not in value
    assert ADA.sha256[:8] not in value


def test_it_is_over_after_twelve_hours(tokens: Tokens) -> None:
    value = header(cookie.issue(tokens, ADA, now=NOW))
    assert cookie.borne(tokens, value, now=NOW + 12 * 3600 - 1) == ADA
    assert cookie.borne(tokens, value, now=NOW + 12 * 3600) is None


def test_nobody_prolongs_it_or_makes_it_another_s(tokens: Tokens) -> None:
    name, until, seal = cookie.issue(tokens, ADA, now=NOW).split(".")
    other, _, foreign = cookie.issue(tokens, BOB, now=NOW).split(".")
    for forged in (
        f"{name}.{int(until) + 1}.{seal}",
        f"{other}.{until}.{seal}",
        f"{name}.{until}.{foreign}",
        f"{name}.{until}.",
        f"{name}.{until}.{seal[:-1]}",
        f"{name}.{until}",
        f"{name}.{until}.{seal}.",
    ):
        assert cookie.borne(tokens, header(forged), now=NOW) is None, forged
    assert cookie.borne(tokens, header(f"{name}.{until}.{seal}"), now=NOW) == ADA


def test_it_goes_with_its_token_and_with_the_server_s_secret(tokens: Tokens) -> None:
    value = header(cookie.issue(tokens, ADA, now=NOW))
    assert cookie.borne(Tokens([BOB], secret="of the server"), value, now=NOW) is None
    assert cookie.borne(Tokens([ADA, BOB], secret="another"), value, now=NOW) is None
    assert cookie.borne(Tokens([]), value, now=NOW) is None


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        "a",
        "=",
        f"{cookie.NAME}=",
        f"{cookie.NAME}=..",
        f"{cookie.NAME}=a.²³.c",
        f"{cookie.NAME}=ü.1800000001.é",
        f"{cookie.NAME}=a.{'9' * 5000}.9",
        f'{cookie.NAME}="; ;"',
        "\x00",
    ],
)
def test_what_is_no_cookie_of_ours_is_nobody_s(tokens: Tokens, cookies: str) -> None:
    assert cookie.borne(tokens, cookies, now=NOW) is None
