"""Coverage inside Ray workers, which end without running exit handlers: started with each, saved every second."""

import threading
import time


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
