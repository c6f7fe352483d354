"""The cookie of whoever signed in to the page: who, until when, and a seal. It opens the page, never the API.

The seal is an HMAC under a key made of the token's digest and the server's secret, so every replica of a configuration
checks it without any memory of its own, and a token that is revoked takes its sessions with it. Neither the token nor
its digest can be told from a cookie.
"""

import hashlib
import hmac

from framework.serving.access import Token, Tokens

NAME = "contenders-session"
SECONDS = 12 * 3600


def issue(tokens: Tokens, token: Token, *, now: float) -> str:
    """The cookie's value for who bears this token. now: UNIX seconds; it is good for 12 hours."""
    until, key = int(now) + SECONDS, _key(tokens, token)
    return f"{_name(key)}.{until}.{_seal(key, until)}"


def borne(tokens: Tokens, cookies: str, *, now: float) -> Token | None:
    """The token behind a Cookie header; None for none, one that is not ours, or one that is over."""
    name, _, rest = _value(cookies).partition(".")
    told, _, seal = rest.partition(".")
    if not (told.isascii() and told.isdigit() and len(told) <= 12 and seal.isascii()):
        return None
    until = int(told)
    if not now < until <= now + SECONDS:
        return None
    for token in tokens:
        key = _key(tokens, token)
        if hmac.compare_digest(name.encode(), _name(key).encode()):
            return token if hmac.compare_digest(seal, _seal(key, until)) else None
    return None


def _value(cookies: str) -> str:
    """Ours among a browser's cookies, whatever others have put there; "" for none."""
    named = (each.strip().partition("=") for each in cookies.split(";"))
    return next((value for name, _, value in named if name == NAME), "")


def _key(tokens: Tokens, token: Token) -> bytes:
    return hmac.digest(f"page of {tokens.secret}".encode(), token.sha256.encode(), hashlib.sha256)


def _name(key: bytes) -> str:
    """What a token is found by again; it tells nothing of the key."""
    return hmac.digest(key, b"name", hashlib.sha256).hex()[:16]


def _seal(key: bytes, until: int) -> str:
    return hmac.digest(key, f"until {until}".encode(), hashlib.sha256).hex()
