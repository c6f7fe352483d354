import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from cluster.connect import Session, connect
from tests.measured import started_unmeasured

RAYS = {"ray_session", "ray_of_two"}
APART = {"H2O", "Horovod", "TorchDDP", "Tuned", "XGBoostRay"}  # contenders that need one, where a test's case has one
FOLDERS = {"cluster", "notebooks", "recipes", "serving", "training"}  # whose tests start Rays and clusters themselves
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # an AutoML of a minute takes half the CPU without C2's compiler
UNMEASURED = {"cluster", "recipes", "test_h2o_nodes.py", "test_node_lost.py"}  # start commands and clusters whose code
# others run measured: notebooks have the same recipes, `ray_session` has the same workers


def pytest_configure() -> None:
    """A shell that runs tests in the background has them ignore Ctrl-C, and so the commands that they start: these are
    to end by it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("JDK_JAVA_OPTIONS", JVM)  # read by `java`, before any Ray that starts one


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts a Ray, a cluster or a JVM runs in a process of its own: a test without one must not find one."""
    for item in items:
        if _starts_ray(item):
            item.add_marker(pytest.mark.ray)


def _starts_ray(item: pytest.Item) -> bool:
    asked, case = set(getattr(item, "fixturenames", ())), getattr(item, "callspec", None)
    name = case.params.get("name") if case else None
    return bool(asked & RAYS) or bool(FOLDERS & set(item.path.parts)) or name in APART


@pytest.fixture(scope="module", autouse=True)
def _commands_unmeasured(request: pytest.FixtureRequest) -> Iterator[None]:
    with started_unmeasured() if UNMEASURED & set(request.path.parts) else nullcontext():
        yield


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
        with started_unmeasured():  # but its workers, by their hook
            ray.init(address="local", num_cpus=2, runtime_env=measured, **quiet)
    session = connect(cpus=2)
    yield session
    session.close()
