"""Where this process's Ray node is reached by the others, and the network interface that goes there."""

import os

INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")  # what torch's two ways of speaking read


def node_address() -> str:
    """The IP address of the Ray node that this process is on, as the other nodes reach it."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return str(next(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] == here))


def interface() -> str | None:
    """The name of the network interface that has the node's address; None where none has it (a translated address)."""
    import psutil

    address = node_address()
    found = psutil.net_if_addrs().items()
    return next((str(name) for name, each in found if any(one.address == address for one in each)), None)


def speak_here() -> None:
    """Tells gloo and NCCL to speak by the interface of the node's address, where an operator has not told them.

    Left alone, gloo takes the one that the host's name resolves to: on Debian that is loopback, and a training over
    several nodes ends in "connection refused".
    """
    if (name := interface()) is not None:
        for variable in INTERFACES:
            os.environ.setdefault(variable, name)
