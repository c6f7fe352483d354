"""Ports that nobody listens on."""

import contextlib
import random
import socket

# Above those of Ray's workers, below those that a system hands to whoever asks for any: until it is taken, nobody else
# comes by one of these by chance.
PORTS = range(20_000, 30_000)


def free_ports(count: int) -> list[int]:
    """So many different loopback ports that were free a moment ago; whoever means one takes it soon.

    Raises OSError where so many are not free.
    """
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.SystemRandom().sample(PORTS, len(PORTS)):
            if len(found) == count:
                return found
            bound = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                bound.bind(("127.0.0.1", port))
                found.append(port)
    if len(found) < count:
        raise OSError(f"of the ports {PORTS.start} to {PORTS.stop - 1} only {len(found)} are free; {count} are needed")
    return found
