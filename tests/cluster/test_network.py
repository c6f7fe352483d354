"""Addresses for the nodes of a cluster on one machine, where the machine allows them."""

import subprocess
from collections.abc import Iterator

import pytest

from cluster.network import Network, separate_network


def names() -> str:
    """The links and namespaces of this machine."""
    return "".join(
        subprocess.run(["ip", *what], capture_output=True, text=True, check=True).stdout
        for what in (("-br", "link"), ("netns", "list"))
    )


@pytest.fixture
def network() -> Iterator[Network]:
    made = separate_network("test")
    if made is None:
        pytest.skip("this machine allows no networks of its own")
    yield made
    made.close()


def test_what_a_killed_process_left_is_in_nobodys_way(network: Network) -> None:
    cable = f"{network.bridge}n3"
    subprocess.run(["ip", "link", "add", cable, "type", "veth", "peer", "name", f"{cable}x"], check=True)
    subprocess.run(["ip", "netns", "add", f"{network.bridge}-3"], check=True)
    assert network.join().ip == f"10.77.{network.number}.3"
    network.close()
    assert f"{network.bridge}-" not in names()
    assert f"{network.bridge}n" not in names()
