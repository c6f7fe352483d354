"""Ports that nobody listens on."""

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """So many different loopback ports that were free a moment ago; whoever means one takes it soon."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
