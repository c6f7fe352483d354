"""Where this process's Ray node is reached by the others, and the network interface that goes there."""

import os

INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")  # what torch's two ways of speaking read


def node_address() -> str:
    """The IP address of the Ray node that this process is on, as the other nodes reach it."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return str(next(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] == here))


def speak_here(variables: tuple[str, ...] = INTERFACES) -> None:
    """Writes the interface of the node's address into these environment variables, where an operator has not.

    Left alone, gloo and NCCL take the one that the host's name resolves to: on Debian that is loopback, and a training
    over several nodes ends in "connection refused".
    """
    import psutil

    address = node_address()
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            for variable in variables:
                os.environ.setdefault(variable, str(name))
            return
