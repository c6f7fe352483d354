"""What one fit asks of Ray, and whether the cluster has it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.user_error import UserError


class ResourcesError(UserError):
    """The cluster can never give what was asked: Ray itself would wait for ever."""


def living_nodes() -> list[dict[str, float]]:
    """The nodes of the cluster that this process is connected to, each by Ray's own totals of it."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@dataclass(frozen=True)
class Resources:
    """What one fit asks for: `workers` processes, each with these CPUs, GPUs and gigabytes.

    apart: the workers are processes that the fit starts; the fit itself only conducts them and takes nothing.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gigabytes: float = 0.0  # 0: not reserved, only watched by Ray's memory monitor
    workers: int = 1
    apart: bool = False

    def options(self) -> dict[str, Any]:
        """The same as keywords of `ray.remote(...).options`, for the process that the fit runs in."""
        if self.apart:
            return {"num_cpus": 0}
        options: dict[str, Any] = {"num_cpus": self.cpus}
        if self.gpus:
            options["num_gpus"] = self.gpus
        if self.memory_gigabytes:
            options["memory"] = int(self.memory_gigabytes * 2**30)
        return options

    @property
    def each(self) -> dict[str, float]:
        """What one worker asks for, by Ray's names."""
        each = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gigabytes * 2**30}
        return {unit: amount for unit, amount in each.items() if amount or unit == "CPU"}

    def check(self, cluster: Mapping[str, float], *, who: str, nodes: Iterable[Mapping[str, float]] = ()) -> None:
        """Raises ResourcesError when `cluster` (Ray's own totals) can never hold this request; `who` is named in it.

        nodes: each by Ray's own totals of it. A worker's memory is that of one node; without them it is held against
        the cluster's.
        """
        asked = {"CPU": self.cpus * self.workers, "GPU": self.gpus * self.workers}
        for unit, amount in asked.items():
            found = cluster.get(unit, 0.0)
            if amount > found:
                raise ResourcesError(
                    f"{who} asks for {self.workers} worker(s) with {amount:g} {unit} in all; "
                    f"the cluster has {found:g} {unit}. Ask for fewer workers, or connect to a larger cluster "
                    f"(RAY_ADDRESS)."
                )
        most = max((node.get("memory", 0.0) for node in nodes), default=cluster.get("memory", 0.0))
        if self.memory_gigabytes * 2**30 > most:
            raise ResourcesError(
                f"{who} asks for {self.memory_gigabytes:g} GB of memory on one node; the largest has "
                f"{most / 2**30:.1f} GB. Ask for less (memory_gigabytes), or connect to a larger cluster (RAY_ADDRESS)."
            )

    def check_nodes(self, nodes: Iterable[Mapping[str, float]], *, who: str) -> None:
        """Raises ResourcesError when the nodes, each by Ray's own totals of it, hold too few such workers: what two
        nodes have left over makes no worker. Counts the machines that are up, not those an autoscaler may start."""
        asked = {unit: amount for unit, amount in self.each.items() if amount}
        if not asked:
            return
        room = sum(min(int(node.get(unit, 0.0) / amount + 1e-9) for unit, amount in asked.items()) for node in nodes)
        if room < self.workers:
            told = ", ".join(f"{amount:g} {unit}" for unit, amount in asked.items())
            raise ResourcesError(
                f"the cluster's nodes hold {room} worker(s) of {told}, and {who} asks for {self.workers}. Ask for "
                f"fewer, or for smaller ones."
            )
