"""Whose token opens what: roles and rates. A server knows tokens by their digest alone."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Role = Literal["predict", "read", "train", "admin"]
ROLES: frozenset[Role] = frozenset(get_args(Role))
UNNAMED: frozenset[Role] = frozenset({"predict", "read"})  # of whoever asks a server that has no tokens, on loopback
BURST = 10.0  # seconds' worth of a token's rate that may come at once


@dataclass(frozen=True)
class Token:
    """A bearer token: who bears it, and what it opens.

    sha256: its `digest`. roles: "predict" asks models, "read" looks at them, "train" starts jobs, "admin" may all.
    per_minute: requests that are answered, over all the replicas that `serve` was asked for; of a service that scales
    by itself, in each of them. None: as many as come.
    """

    name: str
    sha256: str
    roles: frozenset[Role]
    per_minute: float | None = None

    @property
    def opens(self) -> frozenset[Role]:
        return ROLES if "admin" in self.roles else self.roles

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "roles": sorted(self.roles),
            "per_minute": self.per_minute,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Token":
        """Raises ValueError saying what is wrong; KeyError or TypeError for data of another shape."""
        name, sha256, roles, rate = data["name"], data["sha256"], data["roles"], data.get("per_minute")
        if not isinstance(name, str) or not name.strip():
            raise ValueError("a token has no name")
        if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise ValueError(f"sha256 of token {name!r} is no SHA-256 in small hex letters")
        if not isinstance(roles, list) or not roles or not set(roles) <= ROLES:
            raise ValueError(f"roles of token {name!r} are {roles!r}; there are: {', '.join(sorted(ROLES))}")
        if rate is not None and not (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0):
            raise ValueError(f"per_minute of token {name!r} is {rate!r}; it has to be above 0")
        return cls(name, sha256, frozenset(roles), rate)


class Tokens:
    """All tokens of a server, each with what is left of its rate.

    tokens: None: the server asks for none. No token at all, once the last was revoked: it lets nobody in.
    replicas: each answers its share of a token's rate. clock: seconds that only grow. secret: of this server, for the
    sessions of its page.
    """

    def __init__(
        self,
        tokens: Iterable[Token] | None = None,
        *,
        replicas: int = 1,
        clock: Callable[[], float] = time.monotonic,
        secret: str = "",
    ) -> None:
        self.asked_for, self.secret = tokens is not None, secret
        self._known = {token.sha256: token for token in tokens or ()}
        self._rates = {
            token.sha256: Rate(token.per_minute / replicas, clock)
            for token in self._known.values()
            if token.per_minute is not None
        }

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> "Tokens":
        """Those of a replica's configuration; its "token" is the administrator's."""
        administrator, others = configuration.get("token"), configuration.get("tokens")
        if administrator is None and others is None:
            return cls()
        tokens = [Token.from_json(each) for each in others or []]
        if administrator is not None:
            tokens.append(Token("administrator", administrator, frozenset({"admin"})))
        secret = str(configuration.get("secret", ""))
        return cls(tokens, replicas=max(1, configuration.get("replicas", 1)), secret=secret)

    def __iter__(self) -> Iterator[Token]:
        return iter(self._known.values())

    def borne(self, bearer: bytes) -> Token | None:
        """The token that a client has shown; None for a wrong one."""
        return self._known.get(digest(bearer))

    def wait(self, token: Token) -> float:
        """Seconds until this token's next request is answered; 0.0: now, and it is counted."""
        rate = self._rates.get(token.sha256)
        return 0.0 if rate is None else rate.wait()


class Rate:
    """So many requests a minute, and ten seconds' worth of them at once (a token bucket)."""

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._per_second = per_minute / 60.0
        self._most = max(1.0, self._per_second * BURST)
        self._left, self._clock, self._seen = self._most, clock, clock()

    def wait(self) -> float:
        """Seconds until a request is within the rate; 0.0: it is, and is counted."""
        if self.left() >= 1.0:
            self._left -= 1.0
            return 0.0
        return self.seconds()

    def seconds(self) -> float:
        """Until the next request is within the rate, as it was left."""
        return max(0.0, 1.0 - self._left) / self._per_second

    def left(self) -> float:
        """How many requests are within the rate now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        return self._left


def digest(token: bytes) -> str:
    """What is kept of a token: its SHA-256, hex. Enough for secrets of 32 random bytes, as `token_file` makes them."""
    return hashlib.sha256(token).hexdigest()
