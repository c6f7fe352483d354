"""Seconds of a registration, a promotion and a rollback: on SQLite, and through an MLflow server on either database.

python -m benchmarks.registry --rows 20000 --runs 5
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.ports import free_ports
from framework.contender import Context
from framework.contenders import LightGBM
from framework.data.load import load
from framework.leaderboard import Entry, Leaderboard, Winner
from framework.metric import metric
from framework.predictor import Predictor
from framework.registry import promote, register, rollback
from framework.statistics import interval


def table(rows: int, columns: int = 20) -> pd.DataFrame:
    """A question of two classes that trees can learn."""
    random = np.random.default_rng(0)
    X = random.standard_normal((rows, columns))
    y = X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + random.standard_normal(rows) > 0
    return pd.DataFrame(X, columns=[f"x{place}" for place in range(columns)]).assign(y=y.astype(int))


def board(rows: pd.DataFrame, trees: int) -> Leaderboard:
    """A board of one LightGBM."""
    split = load(rows, target="y", kind="binary", name="benchmark")
    contender, scored = LightGBM(rounds=trees, patience=trees), metric("roc_auc")
    model = contender.fit(split.fold, Context())
    valid, test = (model.predict(part.X) for part in (split.fold.valid, split.test))
    around = interval(scored, split.fold.valid.truth, valid, seed=0)
    score = scored.score(split.fold.valid.truth, valid)
    facts = {"contender": contender.name, "fingerprint": split.fingerprint, "seed": 0}
    predictor = Predictor("benchmark", split.problem, split.schema, model, facts)
    tested = interval(scored, split.test.truth, test, seed=0)
    won = Winner(contender.name, predictor, scored.score(split.test.truth, test), tested, test)
    return Leaderboard(split, (Entry(contender.name, score, around, 1.0, contender, valid),), (), won)


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measured(poor: Leaderboard, good: Leaderboard, fresh: pd.DataFrame, runs: int) -> list[float]:
    """Median seconds of a registration, a promotion and a rollback in the store of the environment."""
    register(poor, "benchmark")
    taken: list[list[float]] = [[], [], []]
    for _ in range(runs):
        taken[0].append(seconds(lambda: register(good, "benchmark", alias="challenger")))
        taken[1].append(seconds(lambda: promote("benchmark", fresh).or_refuse()))
        taken[2].append(seconds(lambda: rollback("benchmark")))
    return [statistics.median(each) for each in taken]


@contextlib.contextmanager
def server(folder: Path, store: str) -> Iterator[str]:
    """An MLflow server on the loopback that keeps the files itself."""
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    files = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "kept")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *files],
            cwd=folder,
            env={**os.environ, **quiet, "PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/health", timeout=2).close()
                break
            time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="of the contest; half as many fresh ones")
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--postgresql", help="an empty database: postgresql://user:password@host/database")
    asked = parser.parse_args()
    rows = table(asked.rows + asked.rows // 2)
    known, fresh = rows.iloc[: asked.rows], rows.iloc[asked.rows :]
    poor, good = board(known, 2), board(known, asked.trees)
    print(f"\n{asked.rows:,} rows, {asked.trees} trees, promoted on {len(fresh):,} rows; medians of {asked.runs}\n")
    print("| store | register, s | promote, s | rollback, s |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        behind = asked.postgresql or f"sqlite:///{folder}/server.db"
        kind = "PostgreSQL" if asked.postgresql else "SQLite"
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/alone.db"
        told("SQLite", measured(poor, good, fresh, asked.runs))
        with server(folder, behind.replace("postgresql://", "postgresql+psycopg://")) as url:
            os.environ["MLFLOW_TRACKING_URI"] = url
            told(f"MLflow server on {kind}", measured(poor, good, fresh, asked.runs))


def told(store: str, medians: list[float]) -> None:
    print(f"| {store} | {' | '.join(f'{each:.2f}' for each in medians)} |", flush=True)


if __name__ == "__main__":
    main()
