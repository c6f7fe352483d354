"""Ports that are free, and that stay free until they are taken."""

import contextlib
import socket
from pathlib import Path

import pytest

from cluster import ports
from cluster.ports import PORTS, free_ports

HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_they_are_different_and_can_be_taken_at_once() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    with contextlib.ExitStack() as held:
        for port in found:
            held.enter_context(socket.create_server(("127.0.0.1", port)))


def test_no_other_process_comes_by_one_by_chance() -> None:
    """Between the moment when it is found and that when it is taken lie seconds: a server starts in them."""
    if not HANDED_OUT.exists():
        pytest.skip("this system does not say which ports it hands out")
    first, _ = map(int, HANDED_OUT.read_text().split())
    assert max(free_ports(200)) < first
    assert PORTS.start > 19_999  # Ray's workers: 10002 to 19999


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_one_that_is_taken_is_not_given(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_) = free_ports(1)
    monkeypatch.setattr(ports, "PORTS", range(first, first + 1))
    with socket.create_server((host, first)), pytest.raises(OSError, match="only 0 are free; 1 are needed"):
        free_ports(1)
    assert free_ports(1) == [first]
