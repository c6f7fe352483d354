"""The far side of an Env: what its interpreter runs. Imports nothing that such an interpreter might lack."""

import json
import multiprocessing
import platform
import traceback
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cluster.wire import Parcel, pack, unpack

HEARD_SECONDS = 2.0  # how long the last words of a far function may take to arrive


class Post:
    """The actor where a far function's words wait for the near side. Runs in the base environment."""

    def __init__(self) -> None:
        self.waiting: list[str] = []

    def add(self, words: str) -> None:
        self.waiting.append(words)

    def drain(self) -> list[str]:
        drained, self.waiting = self.waiting, []
        return drained


@dataclass
class Tell:
    """Speaks home while the far function runs: `tell(round=3, loss=0.2)`. Can be handed on to actors over there."""

    post: Any
    last: Any = None

    def __call__(self, **facts: Any) -> None:
        self.last = self.post.add.remote(json.dumps(facts))

    def close(self) -> None:
        """Waits until all that was told from this process has arrived."""
        import ray

        if self.last is not None:
            ray.wait([self.last], timeout=HEARD_SECONDS)


def hello() -> str:
    """Which Python and which Ray answer."""
    import ray

    return f"Python {platform.python_version()}, Ray {ray.__version__}"


def answer(function: str, parcel: Parcel, tell: Tell | None, parcels: list[Any]) -> tuple[bool, Parcel]:
    """Calls "module:function" on what a parcel holds: (True, its arrays and facts) or (False, its exception as text).

    tell, parcels: handed on as keywords where there are any, see `Env.call`.
    No exception leaves this process as an object: its class may not exist at home. Processes that the function forked
    end with it: one that is cancelled by its caller's death may leave this worker standing, for Ray to use again.
    """
    try:
        module, _, name = function.partition(":")
        arrays, facts = unpack(parcel)
        more: dict[str, Any] = {"tell": tell} if tell is not None else {}
        more |= {"parcels": parcels} if parcels else {}
        return True, pack(*getattr(import_module(module), name)(arrays, **more, **facts))
    except (Exception, SystemExit) as error:  # the border between two interpreters
        told = {"type": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
        return False, pack({}, told)
    finally:
        for fork in multiprocessing.active_children():
            fork.kill()
            fork.join()
        if tell is not None:
            tell.close()
