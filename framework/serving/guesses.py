"""Who shows wrong tokens, and how often: whoever guesses has to wait, by the address that the guesses come from."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from starlette.types import Scope

from framework.serving.access import Rate, Token

WRONG_PER_MINUTE = 30.0  # of one address; five of them at once
MOST = 10_000  # addresses that are remembered, and as many tokens with theirs: who came first is forgotten first
NETWORK = 64  # bits of an IPv6 address: whoever has one address has all of its network
FORWARDED = b"x-forwarded-for"


class Guesses:
    """The wrong tokens of late, in one replica.

    From an address that has shown too many, no token is looked at any more until its rate allows it: neither a wrong
    one nor a right one, else the answer would tell the guesser what it wants to know. A token that was right there
    before still opens, so that nobody can lock out those who share an address, as behind a company's gateway.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, Rate] = OrderedDict()
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, token: Token | None) -> float:
        """Seconds until a token from this address is looked at; 0.0: it is now. token: None for a wrong one, which is
        counted."""
        rate = self._wrong.get(address)
        if token is None:
            if rate is None:
                rate = self._wrong[address] = Rate(WRONG_PER_MINUTE, self._clock)
                if len(self._wrong) > MOST:
                    self._wrong.popitem(last=False)
            return rate.wait()
        known = address, token.sha256
        if known in self._right:
            return 0.0
        if rate is not None and rate.left() < 1:
            return rate.seconds()
        self._right[known] = None
        if len(self._right) > MOST:
            self._right.popitem(last=False)
        return 0.0


def address_of(scope: Scope) -> str:
    """Where a request comes from: the client's address, of IPv6 its network; "" where it is not known.

    Where it came from this machine, from a proxy on it as HAProxy is, the address that the proxy says (the last one in
    X-Forwarded-For: what stands before it a client may have written). From elsewhere that header is not believed.
    """
    client = scope.get("client")
    host = network(client[0]) if client else ""
    if not _is_loopback(host):
        return host
    told = [value for key, value in scope["headers"] if key == FORWARDED]
    return network(told[-1].decode("latin-1").rpartition(",")[2].strip()) if told else host


@lru_cache(maxsize=4_096)
def network(text: str) -> str:
    """An address as its guesses are counted; "" for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, NETWORK), strict=False))
    return str(address)


@lru_cache(maxsize=4_096)
def _is_loopback(text: str) -> bool:
    return text == "::1" or text.startswith("127.")
