"""A node as an Env finds it: whether it fits, what must stand there first, and why a worker does not start on it."""

import contextlib
import hashlib
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.build import Blueprint, build
from cluster.resources import ResourcesError

Sizes = dict[str, int]
LAST_LINES = 3  # of the raylet's log, told when a worker does not start
TROUBLE = ("Error", "No such file", "not found", "Permission denied", "cannot execute")
PROBE = "import platform, ray; print('Python', platform.python_version()[:4], 'and Ray', ray.__version__)"
PROBE_SECONDS = 60.0


def one_node(cpus: float, gpus: float) -> str:
    """The id of this node where it can hold so much, else of the first that can.

    Raises ResourcesError when none can.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    alive = sorted((n for n in ray.nodes() if n["Alive"]), key=lambda node: node["NodeID"] != here)
    for node in alive:
        if node["Resources"].get("CPU", 0.0) >= cpus and node["Resources"].get("GPU", 0.0) >= gpus:
            return str(node["NodeID"])
    largest = max((node["Resources"].get("CPU", 0.0) for node in alive), default=0.0)
    raise ResourcesError(
        f"no node holds {cpus:g} CPU and {gpus:g} GPU for one process; the largest of {len(alive)} has {largest:g} "
        f"CPU. Ask for less, or connect to a larger cluster (RAY_ADDRESS)."
    )


def all_nodes() -> list[str]:
    """The ids of the nodes on which a worker may be placed, and of this one."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    works = [n["NodeID"] for n in ray.nodes() if n["Alive"] and {"CPU", "GPU"} & set(n["Resources"])]
    return [here, *(node for node in works if node != here)]


def address(node: str) -> str:
    """A node's address, by its id."""
    import ray

    return next((str(n["NodeManagerAddress"]) for n in ray.nodes() if n["NodeID"] == node), node)


def ask(nodes: Sequence[str], function: Callable[..., Any], *given: Any) -> list[Any]:
    """What a function of this module says on each of these nodes; on this very one it is simply called.

    Raises what the function raised.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    asked = {}
    for node in nodes:
        if node != here:
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            asked[node] = ray.remote(function).options(num_cpus=0, scheduling_strategy=there).remote(*given)
    told = {here: function(*given)} if here in nodes else {}
    try:
        return [told[node] if node in told else ray.get(asked[node]) for node in nodes]
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def code_folder() -> str:
    """Where the links to our packages stand, the same on every node of this cluster; gone with its session."""
    from ray._private import worker

    digest = hashlib.sha256(str(Path(__file__).parents[1]).encode()).hexdigest()[:12]
    return str(Path(worker._global_node.get_session_dir_path()) / f"code-{digest}")


def prepare(made: Blueprint | None, code: str, packages: Iterable[str]) -> tuple[str, float]:
    """Builds the Env on this node where it is missing, and makes our packages importable from `code`.

    Links, since the folder that holds them may be a site-packages, whose other packages must stay out of the Env.
    Returns its interpreter on this node, and the seconds that building took. Raises BuildError.
    """
    here = None if made is None else made.here
    seconds = build(here) if here is not None else 0.0
    Path(code).mkdir(parents=True, exist_ok=True)
    for name in packages:
        found = find_spec(name)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(f"no module {name!r} on this node to be called in an Env", name=name)
        origin = Path(found.origin)
        target = origin.parent if found.submodule_search_locations else origin
        place, fresh = Path(code) / target.name, Path(code) / f".{target.name}.{os.getpid()}"
        if not (place.is_symlink() and place.resolve() == target.resolve()):
            fresh.symlink_to(target)
            fresh.replace(place)
    return here.python if here is not None else "", seconds


def log_sizes() -> Sizes:
    """How much the raylets of this machine have written so far: what comes after is news."""
    return {str(path): path.stat().st_size for path in _raylet_logs()}


def raylet_says(since: Sizes) -> str:
    """The last lines of trouble in the raylets' logs since then, joined by " / "; empty when there are none."""
    lines: list[str] = []
    for path in _raylet_logs():
        with path.open("rb") as file, contextlib.suppress(OSError):
            file.seek(since.get(str(path), 0))
            lines += file.read().decode(errors="replace").splitlines()
    return " / ".join([line.strip() for line in lines if any(word in line for word in TROUBLE)][-LAST_LINES:])


def probe(python: str) -> str:
    """What is wrong with an interpreter on this node; empty when it imports the Ray that runs here."""
    import ray

    ours = f"Python {platform.python_version()[:4]} and Ray {ray.__version__}"
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        told = subprocess.run(
            [python, "-c", PROBE], env=surroundings, capture_output=True, text=True, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if told.returncode:
        return (told.stderr.strip().splitlines() or [f"it ended with status {told.returncode}"])[-1]
    return "" if told.stdout.strip() == ours else f"it has {told.stdout.strip()}, the cluster has {ours}"


def _raylet_logs() -> list[Path]:
    from ray._private import worker

    return sorted(Path(worker._global_node.get_logs_dir_path()).glob("raylet*.err"))
