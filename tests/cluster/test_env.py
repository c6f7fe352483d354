import json
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from cluster.build import BuildError, blueprint, build
from cluster.connect import Session
from cluster.env import Env, EnvError, EnvStartError
from cluster.far import answer
from cluster.resources import ResourcesError
from cluster.wire import pack
from tests.clock import put_forward

FAR = '''
"""What the tests call over there."""
import importlib.util, os, sys, time
from pathlib import Path
import numpy as np

class Odd(Exception):
    """A class that no other interpreter knows."""
    def __init__(self, *, room):
        super().__init__(f"room {room} is locked")

def where(arrays, *, rents):
    lacks = [name for name in ("torch", "sklearn", "mlflow", "skops") if importlib.util.find_spec(name) is None]
    import xgboost
    doubled = {name: array * 2 if array.dtype.kind == "f" else array for name, array in arrays.items()}
    return doubled, {"python": sys.executable, "lacks": lacks, "xgboost": xgboost.__version__, "total": sum(rents)}

def fails(arrays):
    raise Odd(room=7)

def leaves(arrays):
    sys.exit("no more")

def answers_objects(arrays):
    return {"tenants": np.array([None, "a"], dtype=object)}, {}

def dies(arrays):
    os.kill(os.getpid(), 9)

def counts(arrays, *, tell, to):
    for place in range(to):
        tell(place=place)
    return {}, {}

def forks(arrays, *, ends):
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    if ends == "cancelled":
        raise KeyboardInterrupt
    return {}, {"child": child.pid}

def sleeps(arrays, *, folder):
    """Far worker and a far actor of its own, asleep: each leaves its process id."""
    import ray
    @ray.remote(num_cpus=0)
    class Child:
        def sleep(self):
            Path(folder, f"{os.getpid()}.pid").touch()
            time.sleep(600)
    child = Child.remote()
    asleep = child.sleep.remote()
    Path(folder, f"{os.getpid()}.pid").touch()
    time.sleep(600)
'''

START = """
import json, sys, time
from cluster.connect import connect
from cluster.env import Env
from cluster.user_error import UserError

session = connect(cpus=8)  # as many workers may be starting at once
told = {}
for name, python in json.loads(sys.argv[1]).items():
    began, patience = time.time(), 6 if name == "slow" else 600
    try:
        Env(name, python=python, start_seconds=patience).call("far_odd:where", rents=[])
    except UserError as error:
        told[name] = f"{time.time() - began:.0f} {type(error).__name__}: {error}"
session.close()
print(json.dumps(told))
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with odd functions, importable on this side."""
    (tmp_path / "far_odd.py").write_text(FAR, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "far_odd"


@pytest.fixture(scope="module")
def env() -> Env:
    build(blueprint("xgboost_ray"))
    return Env("xgboost_ray")


def wait(claim: Callable[[], bool], seconds: float = 240.0) -> None:
    until = time.time() + seconds
    while not claim():
        assert time.time() < until, "waited in vain"
        time.sleep(0.1)


def sleepers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_function_runs_in_an_interpreter_of_its_own(ray_session: Session, env: Env, far: str) -> None:
    rents = np.array([[700.0, 810.5]])
    arrays, facts = env.call(f"{far}:where", {"rents": rents, "city": np.array(["Zürich"])}, rents=[1, 2, 3])
    assert np.array_equal(arrays["rents"], 2 * rents)
    assert arrays["city"].tolist() == ["Zürich"]
    assert facts["python"] == blueprint("xgboost_ray").python != sys.executable
    assert facts["lacks"] == ["torch", "sklearn", "mlflow", "skops"]
    assert (facts["xgboost"], facts["total"]) == ("2.0.3", 6)


def test_an_exception_comes_home_as_text_with_its_traceback(ray_session: Session, env: Env, far: str) -> None:
    with pytest.raises(EnvError) as told:
        env.call(f"{far}:fails")
    assert (told.value.type, told.value.message) == ("Odd", "room 7 is locked")
    assert "Odd: room 7 is locked" in str(told.value)
    assert "raise Odd(room=7)" in told.value.traceback
    assert "raise Odd(room=7)" in "".join(told.value.__notes__)


@pytest.mark.parametrize(
    ("function", "type_", "message"),
    [
        ("leaves", "SystemExit", "no more"),
        ("answers_objects", "WireError", "tenants"),
        ("missing", "AttributeError", "missing"),
        ("dies", "WorkerCrashedError", "died"),
    ],
)
def test_whatever_ends_it_is_told(
    ray_session: Session, env: Env, far: str, function: str, type_: str, message: str
) -> None:
    with pytest.raises(EnvError, match=message) as told:
        env.call(f"{far}:{function}")
    assert told.value.type == type_


def test_it_is_heard_while_it_runs(ray_session: Session, env: Env, far: str) -> None:
    heard: list[int] = []
    Env("xgboost_ray", hear=lambda told: heard.append(told["place"])).call(f"{far}:counts", to=500)
    assert heard == list(range(500))


def test_what_it_forked_ends_with_it(ray_session: Session, env: Env, far: str) -> None:
    _, facts = env.call(f"{far}:forks", ends="well")
    assert gone(facts["child"])


def test_what_it_forked_ends_though_it_was_cancelled(far: str) -> None:
    """As its caller's death does it, now and then: the Ray worker goes on standing, for other tasks."""
    with pytest.raises(KeyboardInterrupt):
        answer(f"{far}:forks", pack({}, {"ends": "cancelled"}), None, [])
    assert not multiprocessing.active_children()


def test_past_its_deadline_it_is_ended_with_all_it_started(
    ray_session: Session, env: Env, far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline comes when all sleep: the clock is put forward then."""
    folder = tmp_path / "pids"
    folder.mkdir()
    clock = put_forward(monkeypatch)

    def hurry() -> None:
        wait(lambda: len(sleepers(folder)) == 2)
        clock.ahead = 7200.0

    threading.Thread(target=hurry).start()
    with pytest.raises(EnvError, match="deadline") as told:
        Env("xgboost_ray", deadline=time.time() + 3600).call(f"{far}:sleeps", folder=str(folder))
    assert told.value.type == "TimeoutError"
    assert len(sleepers(folder)) == 2
    wait(lambda: all(gone(pid) for pid in sleepers(folder)))


def test_it_ends_with_its_caller(ray_session: Session, env: Env, far: str, tmp_path: Path) -> None:
    import ray

    folder = tmp_path / "pids"
    folder.mkdir()
    home = str(tmp_path)

    @ray.remote(num_cpus=0, max_retries=0)
    def near() -> None:
        sys.path.insert(0, home)
        (folder / "near").write_text(str(os.getpid()), encoding="utf-8")
        Env("xgboost_ray").call("far_odd:sleeps", folder=str(folder))

    running = near.remote()
    try:
        wait(lambda: len(sleepers(folder)) == 2)
        os.kill(int((folder / "near").read_text()), signal.SIGKILL)
        wait(lambda: all(gone(pid) for pid in sleepers(folder)))
    finally:
        ray.cancel(running, force=True)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of three interpreters that do not start, by name.

    In a Ray of their own: a worker that does not start holds one of the raylet's places for starting ones, of which
    there are as many as CPUs, until Ray gives it up after a minute.
    """
    folder = tmp_path_factory.mktemp("far")
    (folder / "far_odd.py").write_text(FAR, encoding="utf-8")
    bare, slow = folder / "bare", folder / "slow"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, str(bare)], check=True)
    slow.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\nexec sleep 20\n', encoding="utf-8")
    slow.chmod(0o755)
    pythons = {"lost": str(folder / "lost" / "python"), "bare": str(bare / "bin" / "python"), "slow": str(slow)}
    surroundings = {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
    }
    ran = subprocess.run(
        [sys.executable, "-c", START, json.dumps(pythons)],
        env=surroundings,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    heard: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return heard


@pytest.mark.parametrize(
    ("name", "wrong", "raylet"),
    [
        ("lost", "No such file or directory", r"bash: line 1: .*/lost/python: No such file or directory"),
        ("bare", "No module named 'ray'", r"ModuleNotFoundError: No module named 'ray'"),
        ("slow", r"no answer in \d+ s", ""),
    ],
)
def test_an_interpreter_that_does_not_start_says_why(told: dict[str, str], name: str, wrong: str, raylet: str) -> None:
    assert re.search(rf"EnvStartError: Env '{name}' does not start on node .*: {wrong}", told[name])
    assert re.search(rf"The raylet says: .*{raylet}", told[name])
    assert float(told[name].split()[0]) < 240  # of ten minutes' patience, or none


def test_what_cannot_be_asked_is_told_at_once(ray_session: Session, env: Env) -> None:
    with pytest.raises(BuildError, match=r"no_such.*xgboost_ray"):
        Env("no_such").call("far_odd:where")
    with pytest.raises(ResourcesError, match="64 CPU"):
        Env("xgboost_ray", cpus=64).call("far_odd:where")
    with pytest.raises(EnvStartError, match="no_such_module"):
        env.call("no_such_module:where")


def test_an_env_is_built_at_its_first_use(
    ray_session: Session, far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    large = ("pandas", "pyarrow", "scipy", "xgboost")
    lines = [line for line in blueprint("xgboost_ray").lock.splitlines(keepends=True) if not line.startswith(large)]
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "requirements.lock").write_text("".join(lines), encoding="utf-8")
    monkeypatch.setattr("cluster.build.LOCKS", tmp_path)
    monkeypatch.setenv("CONTENDERS_ENVS", str(tmp_path / "envs"))
    with caplog.at_level(logging.INFO):
        told = Env("small", hear=lambda told: None).call(f"{far}:counts", to=3)
    assert told == ({}, {})
    assert blueprint("small").complete
    assert [record for record in caplog.records if "env small: building" in record.getMessage()]
