"""Coverage inside Ray workers, which end without running exit handlers: started with each, saved every second."""

import os
import threading
import time


def unmeasured() -> dict[str, str]:
    """The environment of a command that is to be interrupted: within coverage's lock it would wait for it for ever."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


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
