"""The actor that hosts silos which grow trees."""

from pathlib import Path
from threading import Lock

from federated.border import folder_name
from federated.channel import Ticket
from federated.trees.silo import TreeSilo


class TreeHost:
    """The actor that owns silos. While trees grow each of them has a thread: all wait for one another.

    folder: below which each silo has one of its own; None: they write nothing.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._silos: dict[str, TreeSilo] = {}
        self._lock = Lock()

    def answer(self, silo: str, source: list[Ticket], request: bytes) -> bytes:
        """source: references to where its rows come from and, for secure jobs, to its identity, in a list; opened at
        the first question."""
        import ray

        with self._lock:
            if silo not in self._silos:
                folder = Path(self._folder) / folder_name(silo) if self._folder else None
                self._silos[silo] = TreeSilo(ray.get(source[0]), folder, *map(ray.get, source[1:]))
        return self._silos[silo].answer(request)

    def where(self) -> tuple[str, str]:
        """Its node, and that node's address."""
        import ray

        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
