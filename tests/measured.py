"""What coverage measures beside the tests' own process.

Inside Ray workers, which end without running exit handlers, it is started with each and saved every second.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGN = "COVERAGE_PROCESS_CONFIG"  # by which a process that starts knows that it is to be measured


def unmeasured() -> dict[str, str]:
    """The environment of a command that is not to be measured: a server of others, or one that is to be interrupted;
    within coverage's lock it would wait for it for ever."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


@contextmanager
def started_unmeasured() -> Iterator[None]:
    """What is started within is not measured: tracing costs a third more, in each of Ray's own processes too."""
    kept = os.environ.pop(SIGN, None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ[SIGN] = kept


def start() -> None:
    """Runs in every worker before its first task (Ray's worker_process_setup_hook)."""
    import coverage

    measuring = coverage.Coverage(config_file="pyproject.toml", data_suffix=True)
    measuring.start()

    def save() -> None:
        while True:
            time.sleep(1.0)
            measuring.save()

    threading.Thread(target=save, daemon=True).start()
