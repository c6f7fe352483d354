"""Addresses of their own for several nodes on one machine, by network namespaces, where the machine allows it."""

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field

PREFIX = "10.77"  # a private range; each network takes one /24 of it


@dataclass(frozen=True)
class Place:
    """A namespace with an address; a command behind `command` runs in it."""

    ip: str
    command: list[str]


@dataclass
class Network:
    """A bridge on this machine and the namespaces on it. host: the machine's own address on the bridge."""

    tag: str
    number: int
    names: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{PREFIX}.{self.number}.1"

    @property
    def bridge(self) -> str:
        return f"ct{self.number}"

    def join(self) -> Place:
        """A further namespace on the bridge. What a killed process has left under its names is removed: the bridge is
        this network's, so that they are too."""
        place = len(self.names) + 2
        name, near, far = f"{self.bridge}-{place}", f"{self.bridge}n{place}", f"{self.bridge}f{place}"
        ip = f"{PREFIX}.{self.number}.{place}"
        self.names.append(name)
        self._remove(name)
        _ip("netns", "add", name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("link", "set", near, "master", self.bridge, "up")
        _ip("-n", name, "addr", "add", f"{ip}/24", "dev", far)
        _ip("-n", name, "link", "set", far, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return Place(ip, ["ip", "netns", "exec", name])

    def cut(self, ip: str) -> None:
        """Takes the cable out: nothing reaches that address or leaves it any more, though its processes live."""
        _ip("link", "set", f"{self.bridge}n{ip.rpartition('.')[2]}", "down")

    def close(self) -> None:
        """Removes all of it."""
        for name in self.names:
            self._remove(name)
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _ip("link", "del", self.bridge)

    def _remove(self, name: str) -> None:
        """A namespace and its cable, which would outlive it where something still holds the namespace."""
        for command in (("link", "del", name.replace("-", "n")), ("netns", "del", name)):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip(*command)


def separate_network(tag: str) -> Network | None:
    """A network for the nodes of one cluster; None where the machine does not allow it (no root, no `ip`)."""
    if os.geteuid() or shutil.which("ip") is None:
        return None
    for number in range(1, 250):
        network = Network(tag, number)
        try:
            _ip("link", "add", network.bridge, "type", "bridge")
        except subprocess.CalledProcessError as error:
            if b"exists" in error.stderr:
                continue  # another cluster's
            return None
        try:
            _ip("addr", "add", f"{network.host}/24", "dev", network.bridge)
            _ip("link", "set", network.bridge, "up")
            network.join()  # what is allowed is seen by doing it once
        except subprocess.CalledProcessError:
            network.close()
            return None
        return network
    return None


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)
