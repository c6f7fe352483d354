"""Where the conductor is: one small Ray actor for all replicas, or, without Ray, an object of this process."""

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from framework.serving.request import RequestError
from framework.serving.traffic.conductor import Conductor

NAME, NAMESPACE = "traffic", "contenders"
STATE = b"contenders.traffic"
SECONDS = 15.0  # within which it has to answer
GRACE = 3.0  # three times the pause between two reports of a replica


class Conducting(Protocol):
    """What replicas ask of `Conductor`, wherever it is."""

    def put(self, name: str, plan: Mapping[str, Any]) -> int: ...
    def drop(self, name: str) -> None: ...
    def report(self, replica: str, report: Mapping[str, Any]) -> dict[str, Any]: ...
    def told(self, name: str) -> dict[str, Any] | None: ...
    def state(self, name: str) -> tuple[str, str]: ...
    def followed(self, name: str) -> bool: ...


class Find(Protocol):
    """The conductor; None where there is none yet, unless one is to be made."""

    def __call__(self, *, create: bool) -> Conducting | None: ...


class Here:
    """A conductor of this process, made when the first plan is."""

    def __init__(self) -> None:
        self._made: Conductor | None = None

    def __call__(self, *, create: bool) -> Conductor | None:
        if self._made is None and create:
            self._made = Conductor()
        return self._made


class Actor(Conductor):
    """The conductor as an actor: its state is kept by Ray's own store too, so that one that is killed goes on."""

    def __init__(self) -> None:
        from ray.experimental import internal_kv as store  # Serve's controller keeps its own state there as well

        kept = store._internal_kv_get(STATE)
        super().__init__(kept, lambda state: store._internal_kv_put(STATE, state, overwrite=True), grace=GRACE)


class OnRay:
    """The conductor of the cluster that this process is connected to."""

    def __call__(self, *, create: bool) -> Conducting | None:
        import ray

        from framework.tracking import address

        try:
            return _Asked(ray.get_actor(NAME, NAMESPACE))
        except ValueError:
            if not create:
                return None
        made = ray.remote(Actor).options(
            name=NAME,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            runtime_env={"env_vars": {"MLFLOW_TRACKING_URI": address()}},
        )
        return _Asked(made.remote())

    def end(self) -> None:
        """The conductor goes, and its state with it."""
        import ray
        from ray.experimental import internal_kv as store

        try:
            ray.kill(ray.get_actor(NAME, NAMESPACE))
        except ValueError:
            return
        finally:
            store._internal_kv_del(STATE)


class _Asked:
    """An actor's methods as plain calls. They raise RequestError (503) while it is not to be had."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def put(self, name: str, plan: Mapping[str, Any]) -> int:
        return int(self._call("put", name, plan))

    def drop(self, name: str) -> None:
        self._call("drop", name)

    def report(self, replica: str, report: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._call("report", replica, report))

    def told(self, name: str) -> dict[str, Any] | None:
        told: dict[str, Any] | None = self._call("told", name)
        return told

    def state(self, name: str) -> tuple[str, str]:
        state, why = self._call("state", name)
        return state, why

    def followed(self, name: str) -> bool:
        return bool(self._call("followed", name))

    def _call(self, method: str, *arguments: Any) -> Any:
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError

        try:
            return ray.get(getattr(self._actor, method).remote(*arguments), timeout=SECONDS)
        except (RayActorError, GetTimeoutError) as error:
            raise RequestError(
                "who conducts the traffic starts anew; the split stays. Try again.", status=503, retry_after=1.0
            ) from error


def find_conductor() -> Find:
    """In a replica of Ray Serve the cluster's; anywhere else one of this process."""
    serve = sys.modules.get("ray.serve")
    if serve is None:
        return Here()
    try:
        serve.get_replica_context()
    except Exception:  # Serve's own, which is not imported for this
        return Here()
    return OnRay()
