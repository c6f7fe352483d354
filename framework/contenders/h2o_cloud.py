"""H2O on Ray's nodes: one JVM a node, started together, met as one cloud, and gone when the work is done."""

import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from cluster.resources import Resources, ResourcesError
from framework.contenders.h2o_node import Jvm, new_password
from framework.contenders.h2o_server import H2OError, H2OServer, H2OSilentError

FORM_SECONDS = 60.0  # a JVM takes about three seconds on a quiet machine
LOOK_SECONDS = 1.0  # between two looks at the JVMs
NEWS_SECONDS = 3.0
CALL_SECONDS = 30.0  # for an actor's answer on a busy machine
STOP_SECONDS = 8.0


class H2OStartError(H2OError):
    """The cloud did not come to be in time."""


class H2OLostError(H2OError):
    """A JVM of the cloud died: H2O cannot go on without it."""


@dataclass
class Cloud:
    """Actors with a JVM each, and the server that speaks for them."""

    actors: list[Any]
    logs: list[str] = field(default_factory=list)
    looked: float = 0.0
    server: H2OServer = field(init=False)

    def check(self, *, at_once: bool = False) -> None:
        """Raises H2OLostError when a JVM, its actor or its node is gone. Looks once a second at most."""
        import ray

        if not at_once and time.monotonic() - self.looked < LOOK_SECONDS:
            return
        try:
            told = ray.get([actor.ended.remote() for actor in self.actors], timeout=CALL_SECONDS)
        except ray.exceptions.GetTimeoutError:
            told = []  # a busy node is not a dead one
        except ray.exceptions.RayError as error:
            raise H2OLostError(f"a node of H2O is gone ({_first(error)}). Fit it once more.") from error
        for words, log in zip(told, self.logs, strict=False):
            if words:
                raise H2OLostError(
                    f"H2O's JVM {words}. All it said is in {log}. If it ran out of memory, give it more "
                    f"(memory_gigabytes); a JVM that was killed takes its cloud with it: fit it once more."
                )
        self.looked = time.monotonic()

    def explain(self) -> None:
        """Raises H2OLostError when the server's silence is a JVM's death: its guard tells that a moment later."""
        late = time.monotonic() + NEWS_SECONDS
        while time.monotonic() < late:
            self.check(at_once=True)
            time.sleep(0.1)


@contextmanager
def cloud(resources: Resources, *, until: float, deadline: float = math.inf) -> Iterator[Cloud]:
    """`resources.workers` JVMs, each an actor on a node of its own with these CPUs and this memory, as one H2O.

    until: when it must stand; deadline: when its last answer must have come; in seconds of time.time().
    Ray is connected.
    Raises ResourcesError when the cluster is too small; JavaMissingError, H2OMissingError; H2OStartError,
    H2OLostError. However the block ends, nothing of it runs on; and should this process be killed, the actors die
    with it, and each takes its JVM along.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    name = f"h2o-{secrets.token_hex(8)}"
    memory = int(resources.memory_gigabytes * 2**30)
    build = ray.remote(Jvm)
    standing = Cloud([])
    began = time.time()
    late = min(until, began + FORM_SECONDS)
    try:
        for place in _places(resources, here):
            asked = {"num_cpus": resources.cpus, "memory": memory, "name": f"{name}-{len(standing.actors)}", **place}
            actor = build.options(**asked).remote(name, cpus=int(resources.cpus), memory=memory, conductor=here)
            standing.actors.append(actor)
        alone = len(standing.actors) == 1
        members = _of_all(standing, "reserve", alone, late=late)
        password = new_password()
        standing.logs = _of_all(standing, "start", members, password, late=late)
        standing.server = H2OServer(members[0], password, late=deadline)
        _meet(standing, late)
        yield standing
    except H2OSilentError:
        if time.time() < deadline - NEWS_SECONDS:
            standing.explain()
        raise
    finally:
        _end(standing)


def _places(resources: Resources, here: str) -> list[dict[str, Any]]:
    """Where each JVM goes: this node first where it has room, else the freest.

    Raises ResourcesError when too few nodes can hold one.
    """
    import ray
    from ray._private.state import available_resources_per_node
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    memory = resources.memory_gigabytes * 2**30
    alive = [node for node in ray.nodes() if node["Alive"]]
    fitting = [
        node["NodeID"]
        for node in alive
        if node["Resources"].get("CPU", 0.0) >= resources.cpus and node["Resources"].get("memory", 0.0) >= memory
    ]
    if len(fitting) < resources.workers:
        raise ResourcesError(
            f"H2O asks for {resources.workers} node(s) with {resources.cpus:g} CPU and {resources.memory_gigabytes:g} "
            f"GB each; the cluster has {len(fitting)} such among its {len(alive)}. Ask for fewer workers or less "
            f"memory_gigabytes, or connect to a larger cluster (RAY_ADDRESS)."
        )
    free = available_resources_per_node()

    def room(node: str) -> tuple[bool, bool, float]:
        left = free.get(node, {}).get("CPU", 0.0)
        return (left >= resources.cpus, node == here, left)

    chosen = sorted(fitting, key=room, reverse=True)[: resources.workers]
    return [{"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)} for node in chosen]


def _of_all(standing: Cloud, method: str, *given: Any, late: float) -> list[Any]:
    """What each actor answers to this call."""
    import ray

    asked = [getattr(actor, method).remote(*given) for actor in standing.actors]
    try:
        return list(ray.get(asked, timeout=max(0.1, late - time.time())))
    except ray.exceptions.GetTimeoutError as error:
        raise H2OStartError(
            f"the cluster gave H2O no room for its {len(standing.actors)} JVM(s) in time. Give more minutes, or wait "
            f"until others have finished."
        ) from error
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise H2OLostError(f"a node of H2O was gone before it began ({_first(error)}). Fit it once more.") from error


def _meet(standing: Cloud, late: float) -> None:
    """Waits until all JVMs are one cloud."""
    while True:
        standing.check(at_once=True)
        with suppress(H2OSilentError):
            if standing.server.members() == len(standing.actors):
                return
        if time.time() > late:
            raise H2OStartError(
                f"H2O's {len(standing.actors)} JVM(s) were not one cloud in time. Give more minutes; what they said is "
                f"in {', '.join(standing.logs)}."
            )
        time.sleep(0.1)


def _end(standing: Cloud) -> None:
    """Stops every JVM, and kills what does not stop."""
    import ray

    if hasattr(standing, "server"):
        standing.server.close()
    with suppress(ray.exceptions.RayError):
        stopping = [actor.stop.remote() for actor in standing.actors]
        ray.wait(stopping, num_returns=len(stopping) or 1, timeout=STOP_SECONDS)
    for actor in standing.actors:
        with suppress(ray.exceptions.RayError):
            ray.kill(actor)


def _first(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
