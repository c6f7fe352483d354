"""Our federation under a stop-watch: in one process, and through actors of Ray."""

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peers.federation import Watch
from cluster.wire import Arrays
from federated.channel import Direct, SigningChannel, end_hosts, start_hosts
from federated.job import Job
from federated.rounds import Coordinator, Terms
from federated.source import Held


class Watched(Coordinator):
    """Marks a watch whenever a state has been kept: after the agreement, and after every round."""

    watch: Watch

    def _checkpoint(self) -> None:
        super()._checkpoint()
        self.watch.mark()


def watched(channel: SigningChannel, job: Job, folder: Path, watch: Watch) -> tuple[dict[str, Any], Arrays]:
    """What the watch tells, and the weights after the last round."""
    coordinator = Watched(channel, job, Terms(quorum=2), folder)
    coordinator.watch = watch
    coordinator.run()
    assert coordinator._server is not None
    return watch.told(), coordinator._server.weights


def far(channel: SigningChannel, job: Job, folder: Path, watch: Watch) -> tuple[dict[str, Any], Arrays]:
    """The same in a process of Ray, as `FederatedAverage` runs it. The two share the machine's clock."""
    import ray

    told: tuple[dict[str, Any], Arrays] = ray.get(
        ray.remote(watched).options(num_cpus=0).remote(channel, job, folder, watch)
    )
    return told


def measured(sources: list[Held], job: Job, hosts: int) -> tuple[dict[str, Any], Arrays]:
    """hosts: actors of Ray; 0: none, all in this process. Silos write their audit files in both."""
    watch = Watch(os.getpid())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        if not hosts:
            return watched(Direct(sources, folder / "silos"), job, folder, watch)
        channel, actors = start_hosts(sources, hosts=hosts, folder=folder / "silos")
        stack.callback(end_hosts, actors)
        return far(channel, job, folder, watch)
