"""A function called in another interpreter on the cluster: where an engine's pins conflict with ours.

Only .npz arrays and JSON cross, so that nothing depends on what either side has installed.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.build import blueprint
from cluster.far import Post, Tell, answer, hello
from cluster.ground import address, all_nodes, ask, code_folder, log_sizes, one_node, prepare, probe, raylet_says
from cluster.user_error import UserError
from cluster.wire import Arrays, Facts, pack, unpack

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LOOK_SECONDS = 3.0  # between two looks at why a far interpreter has not answered yet
HOOK = "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"  # a hook of ours would not import over there: emptied


class EnvStartError(UserError):
    """An Env's interpreter did not start on its node."""


class EnvError(RuntimeError):
    """A function that failed in its Env, or was ended there.

    type, message: of the exception over there; its traceback is attached as a note, and printed with ours.
    """

    def __init__(self, env: str, type: str, message: str, traceback: str = "") -> None:
        super().__init__(env, type, message, traceback)
        self.env, self.type, self.message, self.traceback = env, type, message, traceback
        if traceback:
            self.add_note(f"In the Env {env!r}:\n{traceback}")

    def __str__(self) -> str:
        return f"{self.type}: {self.message} (in the Env {self.env!r})"


@dataclass(frozen=True)
class Env:
    """An interpreter of its own, built from `cluster/envs/<name>/requirements.lock`, and how it is asked.

    cpus, gpus: what the called function itself takes; 0 where it only waits for workers that it starts.
    everywhere: it starts workers of its own, which any node may get: the Env is made ready on all of them.
    deadline: in seconds of time.time(); past it the call and all it started are ended.
    start_seconds: within which the interpreter must have answered for the first time.
    hear: told what the function tells meanwhile; the function then takes a keyword `tell`, see `far.Tell`.
    python: an interpreter that stands already on every node, in place of one built from a lock.
    """

    name: str
    cpus: float = 0.0
    gpus: float = 0.0
    everywhere: bool = False
    deadline: float = float("inf")
    start_seconds: float = 90.0
    hear: Callable[[Facts], None] | None = None
    python: str | None = None

    def call(
        self,
        function: str,
        arrays: Mapping[str, np.ndarray] | None = None,
        parcels: Sequence[Any] = (),
        /,
        **facts: Any,
    ) -> tuple[Arrays, Facts]:
        """Calls "module:function" over there as function(arrays, **facts) → (arrays, facts), which come home.

        parcels: references to what `wire.archive` made, in the object store; where there are some the function takes
        them as a keyword `parcels`, to be opened (`wire.unarchive`) by the workers it starts: nobody holds them all.
        The module must import with what the Env has: at its top the standard library, numpy and `cluster`.
        Whatever happens here, the far process and the workers it started end with this call.
        Raises WireError, BuildError, EnvStartError before anything runs; EnvError when the function raised, died or
        passed its deadline.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from cluster.connect import connect

        parcel = pack(arrays or {}, facts)
        connect()
        node = one_node(self.cpus, self.gpus)
        python, there, code = self._make_ready([node, *all_nodes()] if self.everywhere else [node], function)
        far = {
            "runtime_env": {"py_executable": there, "env_vars": {"PYTHONPATH": code, HOOK: ""}},
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
            "max_retries": 0,
        }
        self._greet(node, python, far)
        post = ray.remote(Post).options(num_cpus=0).remote() if self.hear else None
        asked = {**far, "num_cpus": self.cpus, "num_gpus": self.gpus, "name": f"env {self.name}"}
        running = ray.remote(answer).options(**asked).remote(function, parcel, Tell(post) if post else None, [*parcels])
        try:
            good, told = self._wait(running, post)
        except BaseException:
            _end(running)
            raise
        finally:
            if post is not None:
                ray.kill(post)
        if not good:
            raise EnvError(self.name, **unpack(told)[1])
        return unpack(told)

    def _make_ready(self, nodes: list[str], function: str) -> tuple[str, str, str]:
        """The interpreter's path on the first of these nodes, on all of them in the words of a shell, and the folder
        of our code: all of it stands on each of them."""
        made = None if self.python else blueprint(self.name)
        code = code_folder()
        wanted = list(dict.fromkeys(nodes))
        packages = sorted({"cluster", function.partition(":")[0].partition(".")[0]})
        try:
            found = ask(wanted, prepare, made, code, packages)
        except ModuleNotFoundError as error:
            raise EnvStartError(f"Env {self.name!r} cannot call {function!r}: {error}.") from error
        for node, (_, seconds) in zip(wanted, found, strict=True):
            if seconds:
                log.info("env %s: built on node %s in %.0f s", self.name, address(node), seconds)
        if made is None:
            return str(self.python), str(self.python), code
        pythons = [python for python, _ in found]
        return pythons[0], pythons[0] if len(set(pythons)) == 1 else made.anywhere, code

    def _greet(self, node: str, python: str, far: dict[str, Any]) -> None:
        """Waits for the interpreter's first word. Raises EnvStartError with the raylet's own when none comes."""
        import ray

        began = time.time()
        until = min(began + self.start_seconds, self.deadline)
        since = ask([node], log_sizes)[0]
        first = ray.remote(hello).options(**far, num_cpus=0, name=f"env {self.name}: hello").remote()
        try:
            while not ray.wait([first], timeout=min(LOOK_SECONDS, max(0.1, until - time.time())))[0]:
                late = time.time() > until
                said = ask([node], raylet_says, since)[0]
                wrong = ask([node], probe, python)[0] if said or late else ""
                if wrong or late:
                    raise self._silent(node, python, said, wrong or f"no answer in {time.time() - began:.0f} s")
            ray.get(first)
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()[-1]
            raise self._silent(node, python, said, ask([node], probe, python)[0] or type(error).__name__) from error
        except BaseException:
            _end(first)
            raise

    def _silent(self, node: str, python: str, said: str, wrong: str) -> EnvStartError:
        return EnvStartError(
            f"Env {self.name!r} does not start on node {address(node)}: {python}: {wrong}. The raylet says: "
            f"{said or 'nothing'}. Remove that Env's folder, run `make envs` there, and try again."
        )

    def _wait(self, running: Any, post: Any) -> tuple[bool, Any]:
        import ray

        while True:
            left = self.deadline - time.time()
            ready, _ = ray.wait([running], timeout=max(0.0, min(left, POLL_SECONDS)))
            self._listen(post)
            if ready:
                break
            if left <= 0:
                raise EnvError(self.name, "TimeoutError", "the function was not done at its deadline and was ended")
        try:
            good, told = ray.get(running)
        except ray.exceptions.RayError as error:
            raise EnvError(self.name, type(error).__name__, str(error).strip().splitlines()[0]) from error
        return good, told

    def _listen(self, post: Any) -> None:
        import ray

        if post is None or self.hear is None:
            return
        try:
            told: list[str] = ray.get(post.drain.remote(), timeout=2.0)
        except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError):
            return  # a busy or lost actor costs the live view, not the call
        for words in told:
            self.hear(json.loads(words))


def _end(running: Any) -> None:
    """Ends a far call with all it started. One that is done is left alone: Ray 2.60 aborts this whole process when a
    task is cancelled by force while its answer arrives ("Tried to complete task that was not pending")."""
    import ray

    if not ray.wait([running], timeout=0)[0]:
        ray.cancel(running, force=True, recursive=True)
