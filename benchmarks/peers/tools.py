"""The tools, and one run of one of them: its environment made at first use, its processes ended whatever happens."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.peers.job import ANSWER, TOLD
from benchmarks.peers.tables import Cut

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARK = "PEERS_RUN"  # in the environment of every process of a run
LATE = 240.0  # seconds beyond twice its own that a tool may take to start, end and answer
LAST = 15  # lines of its output that are kept of a run that failed


@dataclass(frozen=True)
class Tool:
    """module: what is run, with the job's folder and `arguments`. env: the folder of its requirements; "": our own."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    env: str = ""


TOOLS = {
    each.name: each
    for each in (
        Tool("ours", "benchmarks.peers.ours"),
        Tool("linear", "benchmarks.peers.floor", ("linear",)),
        Tool("xgboost", "benchmarks.peers.floor", ("xgboost",)),
        Tool("autogluon_medium", "benchmarks.peers.autogluon.run", ("medium_quality",), env="autogluon"),
        Tool("autogluon_best", "benchmarks.peers.autogluon.run", ("best_quality",), env="autogluon"),
        Tool("h2o", "benchmarks.peers.h2o_automl.run", env="h2o_automl"),
        Tool("flaml", "benchmarks.peers.flaml.run", env="flaml"),
        Tool("mljar", "benchmarks.peers.mljar.run", env="mljar"),
    )
}
FLOORS = ("linear", "xgboost")


def environment(name: str) -> Path:
    """The interpreter of a peer's environment, made by uv from its pinned requirements where there is none yet.

    Under CONTENDERS_PEERS, else ~/.cache/contenders/peers; another lock makes another folder.
    """
    lock = HERE / name / "requirements.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    root = Path(os.environ.get("CONTENDERS_PEERS") or Path.home() / ".cache" / "contenders" / "peers")
    home = root / f"{name}-{digest}"
    python = home / "bin" / "python"
    if (home / "complete").is_file():
        return python
    print(f"{name}: making its environment in {home}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    given = {**os.environ, "UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")}
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True, env=given)
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python", str(python)]
    subprocess.run([*install, "-r", str(lock)], check=True, env=given)
    (home / "complete").touch()
    return python


def answer(tool: Tool, cut: Cut) -> tuple[np.ndarray | None, dict[str, Any]]:
    """What the tool predicts for the test rows (None: it failed), and what is to be told of the run."""
    python = environment(tool.env) if tool.env else Path(sys.executable)
    mark = uuid.uuid4().hex[:8]
    folder = Path(tempfile.mkdtemp(prefix=f"p{mark}"))  # short: Ray keeps its sockets in it
    given = {key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "PYTHONDONTWRITEBYTECODE")}
    given |= {MARK: mark, "RAY_TMPDIR": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    given |= {"OMP_NUM_THREADS": str(cut.job.cores)} if tool.env else {}
    began = time.time()
    log = folder / "log.txt"
    try:
        cut.job.write(folder, cut.train, cut.test)
        command = [str(python), "-m", tool.module, str(folder), *tool.arguments]
        with log.open("w") as stream:
            run = subprocess.Popen(command, cwd=folder, env=given, stdout=stream, stderr=stream, start_new_session=True)
        try:
            status: int | str = run.wait(2 * cut.job.seconds + LATE)
        except subprocess.TimeoutExpired:
            status = "out of time"
        wall = round(time.time() - began, 1)
        if status != 0 or not (folder / ANSWER).is_file():
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST:]
            return None, {"status": status, "wall": wall, "last": last}
        told = json.loads((folder / TOLD).read_text(encoding="utf-8"))
        return np.load(folder / ANSWER), {"status": "done", "wall": wall, **told}
    finally:
        end(mark)
        shutil.rmtree(folder, ignore_errors=True)


def end(mark: str) -> None:
    """Kills every process of a run, also those that left its session (Ray's, a JVM)."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.send_signal(signal.SIGKILL)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
