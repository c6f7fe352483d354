"""Tokens: what each opens, how often, and where they are never seen."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.serving import access
from framework.serving.access import ROLES, Rate, Role, Token, Tokens, digest
from framework.serving.app import ROUTES
from framework.serving.replica import Replica
from framework.serving.token_file import TokenFileError, add_token, read_tokens, revoke_token
from tests.framework.serving.http_client import Client, listen, sources

SECRETS = {"admin": "of the administrator", "predict": "of a client", "read": "of a dashboard", "train": "of a trainer"}


def known(name: Role, **changes: Any) -> dict[str, Any]:
    return Token(name, digest(SECRETS[name].encode()), frozenset({name}), **changes).to_json()


@pytest.fixture(scope="module")
def guarded(cars: Path) -> Iterator[Client]:
    tokens = [known("predict"), known("read"), known("train")]
    administrator = digest(SECRETS["admin"].encode())
    client, server = listen({"models": sources(cars=cars), "token": administrator, "tokens": tokens})
    yield client
    server.should_exit = True


def ask(client: Client, role: str, method: str, path: str, body: Any = None) -> int:
    return client.ask(method, path, body, authorization=f"Bearer {SECRETS[role]}")[0]


@pytest.mark.parametrize(
    ("method", "path", "opens"),
    [
        ("POST", "/api/v1/predict/cars", {"predict", "admin"}),
        ("POST", "/v2/models/cars/infer", {"predict", "admin"}),
        ("POST", "/api/v1/models/cars/explain", {"predict", "admin"}),
        ("POST", "/api/v1/models/compare", {"predict", "admin"}),
        ("GET", "/api/v1/models", {"predict", "read", "admin"}),
        ("GET", "/api/v1/models/cars", {"predict", "read", "admin"}),
        ("GET", "/v2", {"predict", "read", "admin"}),
        ("GET", "/v2/models/cars", {"predict", "read", "admin"}),
        ("GET", "/openapi.json", {"predict", "read", "train", "admin"}),
        ("DELETE", "/api/v1/models/cars", {"admin"}),
        ("GET", "/healthz", set(ROLES)),
        ("GET", "/v2/health/live", set(ROLES)),
    ],
)
def test_each_address_asks_for_its_roles(guarded: Client, method: str, path: str, opens: set[str]) -> None:
    let_in = {role for role in SECRETS if ask(guarded, role, method, path, {} if method == "POST" else None) != 403}
    assert let_in == opens
    status, told = guarded.ask(method, path)
    is_open = path in ("/healthz", "/v2/health/live")
    assert status == (200 if is_open else 401)
    assert is_open or set(told) == {"error"}


def test_every_route_is_guarded_but_those_of_load_balancers(guarded: Client) -> None:
    routes = [route for make in ROUTES for route in make(Replica())]
    assert len(routes) > 12
    for route in routes:
        path = route.path.format(name="cars", version="1", id="1") if "{" in route.path else route.path
        (method,) = (route.methods or set()) - {"HEAD"}
        assert guarded.ask(method, path)[0] == (
            200 if path in ("/healthz", "/v2/health/live", "/v2/health/ready") else 401
        )


def test_once_the_last_token_is_revoked_nobody_is_let_in(cars: Path) -> None:
    client, server = listen({"models": sources(cars=cars), "tokens": []})
    try:
        assert client.ask("GET", "/api/v1/models")[0] == 401
        assert client.ask("GET", "/api/v1/models", authorization="Bearer ")[0] == 401
        assert client.ask("GET", "/healthz")[0] == 200
    finally:
        server.should_exit = True


def test_before_it_is_configured_a_replica_lets_nobody_in() -> None:
    assert Replica().tokens.asked_for


def test_a_refusal_names_the_role_that_is_asked_for(guarded: Client) -> None:
    status, told = guarded.ask("POST", "/api/v1/predict/cars", {}, authorization=f"Bearer {SECRETS['read']}")
    assert status == 403
    assert told["error"] == "POST /api/v1/predict/cars asks for a token with the role predict."


def test_a_token_over_its_rate_is_told_when_to_come_back(cars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that stands: on a busy machine the rate would fill up between two requests."""
    monkeypatch.setattr(access, "Rate", lambda per_minute, clock: Rate(per_minute, lambda: 0.0))
    tokens = [known("read", per_minute=12), known("predict")]
    client, server = listen({"models": sources(cars=cars), "tokens": tokens})
    try:
        path, headers = "/api/v1/models", {"authorization": f"Bearer {SECRETS['read']}"}
        answers = [client.raw("GET", path, **headers) for _ in range(4)]
        assert [status for status, _, _ in answers[:2]] == [200, 200]  # ten seconds' worth
        status, told, body = answers[-1]
        assert status == 429
        assert 1 <= int(told["retry-after"]) <= 5
        assert b"12 times a minute" in body
        assert ask(client, "predict", "GET", path) == 200  # the others are not held up
    finally:
        server.should_exit = True


def test_a_rate_fills_up_again_and_is_shared_by_the_replicas() -> None:
    now = 0.0
    token = Token("a", digest(b"a"), frozenset({"read"}), per_minute=60)
    alone = Tokens([token], clock=lambda: now)
    shared = Tokens([token], replicas=2, clock=lambda: now)
    assert [alone.wait(token) for _ in range(11)] == [0.0] * 10 + [1.0]
    assert [shared.wait(token) for _ in range(6)] == [0.0] * 5 + [2.0]
    now = 1.0
    assert alone.wait(token) == 0.0
    assert shared.wait(token) == pytest.approx(1.0)
    now = 1e6
    assert [alone.wait(token) for _ in range(11)][-2:] == [0.0, 1.0]  # no more than ten seconds' worth is saved up


def test_no_secret_is_logged_or_told(guarded: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for secret in (SECRETS["predict"], "a wrong secret"):
        for body in (b"{", b'{"wt": 1}', b"[" * 5000):
            headers = {"authorization": f"Bearer {secret}"}
            _, _, told = guarded.raw("POST", "/api/v1/predict/cars", body, **headers)
            assert secret.encode() not in told
    assert "secret" not in caplog.text
    assert SECRETS["predict"] not in caplog.text


def test_a_file_holds_digests_and_its_owner_alone_may_write(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    secret = add_token(path, "board", roles=["read", "predict"], per_minute=30)
    other = add_token(path, "boss", roles=["admin"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(secret) >= 43
    assert secret not in path.read_text()
    board, boss = read_tokens(path)
    assert (board.name, board.opens, board.per_minute) == ("board", {"read", "predict"}, 30)
    assert boss.opens == ROLES
    tokens = Tokens([board, boss])
    assert tokens.borne(secret.encode()) == board
    assert tokens.borne(other.encode()) == boss
    assert tokens.borne(board.sha256.encode()) is None
    revoke_token(path, "board")
    assert read_tokens(path) == [boss]
    path.chmod(0o620)
    with pytest.raises(TokenFileError, match="chmod 600"):
        read_tokens(path)
    assert [each.name for each in tmp_path.iterdir()] == ["tokens.json"]


def test_mistakes_in_a_file_get_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    with pytest.raises(TokenFileError, match="cannot be read"):
        read_tokens(path)
    add_token(path, "board", roles=["read"])
    for name, options, said in (
        ("board", {"roles": ["read"]}, "already"),
        ("new", {"roles": ["reader"]}, "role 'reader' is unknown; there are: admin, predict, read, train"),
        ("new", {"roles": []}, r"roles of token 'new' are \[\]"),
        ("new", {"roles": ["read"], "per_minute": 0.0}, "above 0"),
        (" ", {"roles": ["read"]}, "no name"),
    ):
        with pytest.raises(TokenFileError, match=said):
            add_token(path, name, **options)  # type: ignore[arg-type]
    with pytest.raises(TokenFileError, match="It has: board"):
        revoke_token(path, "nobody")
    for wrong in ("", "3", "[3]", '[{"name": "x"}]', '[{"name": "x", "sha256": "abc", "roles": ["read"]}]'):
        path.write_text(wrong)
        with pytest.raises(TokenFileError, match="cannot be read"):
            read_tokens(path)
