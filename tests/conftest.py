import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.connect import Session, connect


@pytest.fixture(scope="session")
def ray_session() -> Iterator[Session]:
    """One local Ray of two CPUs for all tests that need one in this process."""
    import ray

    os.environ.pop("RAY_ADDRESS", None)
    ray.shutdown()  # that of a recipe which a test called before
    if "coverage" in sys.modules:
        root = str(Path(__file__).parents[1])
        measured = {"worker_process_setup_hook": "tests.measured.start", "env_vars": {"PYTHONPATH": root}}
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        ray.init(address="local", num_cpus=2, runtime_env=measured, **quiet)
    session = connect(cpus=2)
    yield session
    session.close()
