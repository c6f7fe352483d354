"""Ours beside the best AutoML libraries: the same rows, seconds and two cores.

python -m benchmarks.peers --tables dev --seconds 60 --seeds 0
python -m benchmarks.peers --tables public --seconds 60 120 300 --seeds 0 1 2

Every run's predictions are kept in --out; started again, it goes on where it stopped (--again NAME … runs a tool anew).
Peers are never a dependency: each gets an environment of its own, made at its first use.
"""

import argparse
import hashlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.report import Round, report
from benchmarks.peers.tables import SETS, Cut, Table, cut
from benchmarks.peers.tools import TOOLS, answer, environment
from framework.data.frame import Truth
from framework.metric import metric


def main() -> None:
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a run under way is ended with us
    tables = [table for name in asked.tables for table in chosen(name)]
    asked.out.mkdir(parents=True, exist_ok=True)
    results = asked.out / "results.json"
    kept: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    for env in dict.fromkeys(TOOLS[name].env for name in asked.peers):
        if env:
            environment(env)
    rounds = []
    for seconds in asked.seconds:
        for seed in asked.seeds:
            for table in tables:
                rows = cut(table, seconds=seconds, seed=seed, cores=asked.cores)
                truth = Truth(y=rows.y, classes=len(rows.job.classes))
                for name in asked.peers:
                    key = place(table, rows, name)
                    if key in kept and (name not in asked.again) and (kept[key]["status"] == "done" or not asked.retry):
                        continue
                    predicted, told = answer(TOOLS[name], rows)
                    if predicted is not None:
                        np.save(asked.out / f"{key}.npy", predicted)
                        told["score"] = metric(table.metric).score(truth, predicted)
                    about = {"table": table.name, "seconds_given": seconds, "seed": seed, "tool": name}
                    kept[key] = {**about, "metric": table.metric, **told}
                    results.write_text(json.dumps(kept, indent=1), encoding="utf-8")
                    print(line(kept[key]), flush=True)
                answers = {
                    name: np.load(path)
                    for name in asked.peers
                    if (path := asked.out / f"{place(table, rows, name)}.npy").is_file()
                }
                rounds.append(Round(table.name, table.metric, seconds, seed, truth, answers))
    told_all = report(rounds, asked.peers)
    (asked.out / "report.md").write_text(told_all + "\n", encoding="utf-8")
    print(f"\n{told_all}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=["dev"], help="dev, public, or names of single tables")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--peers", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/peers"))
    parser.add_argument("--again", nargs="*", default=[], help="tools whose kept runs are run anew")
    parser.add_argument("--retry", action="store_true", help="run anew what failed")
    return parser.parse_args()


def chosen(name: str) -> list[Table]:
    """A set of tables, or the one of this name."""
    if name in SETS:
        return SETS[name]
    found = [table for tables in SETS.values() for table in tables if table.name == name]
    if not found:
        known = [table.name for tables in SETS.values() for table in tables]
        sys.exit(f"there is no table {name!r}; there are: {', '.join([*SETS, *known])}")
    return found


def place(table: Table, rows: Cut, tool: str) -> str:
    """A run's name in the results: the same rows and columns, budget, cores and tool."""
    asked = rows.y.astype(np.float64).tobytes() + json.dumps(rows.job.columns).encode()
    digest = hashlib.sha256(asked).hexdigest()[:8]
    return f"{table.name}-{digest}-{rows.job.seconds:g}s-{rows.job.cores}c-seed{rows.job.seed}-{tool}"


def line(run: dict[str, Any]) -> str:
    head = f"{run['table']} {run['seconds_given']:g} s seed {run['seed']} {run['tool']}"
    if "score" not in run:
        return f"{head}: no answer ({run['status']}) after {run['wall']} s\n  " + "\n  ".join(run["last"])
    learned = run.get("fit_seconds", run["seconds"])
    return f"{head}: {run['metric']} {run['score']:.4f}, learned for {learned:.0f} s of {run['wall']:.0f}"


if __name__ == "__main__":
    main()
