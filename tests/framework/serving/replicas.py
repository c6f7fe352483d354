"""A server's replicas as their machine sees them, and the patience to see them change."""

import contextlib
import time
from collections.abc import Callable

import psutil


def until(true: Callable[[], bool], seconds: float = 240) -> bool:
    """Whether it comes true, on a machine however busy."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return true()


def replicas() -> set[int]:
    """Ids of the processes that answer."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "ray::ServeReplica:framework" in " ".join(process.cmdline()):
                found.add(process.pid)
    return found
