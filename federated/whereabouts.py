"""Which node each host of silos stands on: what a lost node took with it, as a sentence for the board."""

from typing import Any

from federated.channel import OnRay

ANSWER_SECONDS = 2.0  # that a host has to say where it is; one that waits for room on the cluster does not


class Whereabouts:
    """Asks every host where it begins, and waits for no answer: to be made once the hosts are started."""

    def __init__(self, channel: OnRay) -> None:
        hosts: dict[int, tuple[Any, list[str]]] = {}
        for silo, host in channel.hosts.items():
            hosts.setdefault(id(host), (host, []))[1].append(silo)
        self._began = [(host, silos, _asked(host)) for host, silos in hosts.values()]

    def lost(self) -> list[str]:
        """A sentence for each host whose node has left the cluster since: which silos, and where they went on."""
        import ray

        known = {node["NodeID"]: node for node in ray.nodes()}
        gone = [
            (host, silos, known[began])
            for host, silos, answer in self._began
            if (began := _told(answer, 0.0)) in known and not known[began]["Alive"]
        ]
        now = [(silos, node, _asked(host)) for host, silos, node in gone]
        told = []
        for silos, node, answer in now:
            after = known.get(_told(answer, ANSWER_SECONDS))
            became = f"went on at {after['NodeManagerAddress']}" if after else "found no other node with room"
            names = ", ".join(map(repr, silos))
            told.append(f"node {node['NodeManagerAddress']} was lost with the host of {names}, which {became}")
        return told


def _asked(host: Any) -> Any:
    return host.__ray_call__.remote(_node)


def _told(answer: Any, seconds: float) -> str:
    import ray

    try:
        return str(ray.get(answer, timeout=seconds))
    except (ray.exceptions.GetTimeoutError, ray.exceptions.RayError):
        return ""


def _node(_: Any) -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())
