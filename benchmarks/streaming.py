"""Memory while rows stream from files: 1 ×, 4 × and 16 × the rows, the same peak.

python -m benchmarks.streaming --rows 500000 --columns 50
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.boosting import make
from benchmarks.footprint import footprint

TIMES = (1, 4, 16)


def understand(folder: Path) -> str:
    """A split made of the files."""
    from framework.data.stream import stream

    split = stream(folder, target="y", kind="binary", always=True, sample=20_000, most=20_000)
    return f"{len(split.fold.rows):,} rows to learn from"


def read(folder: Path) -> str:
    """The same, and every row to learn from read once, as a worker does."""
    from framework.data.stream import stream

    split = stream(folder, target="y", kind="binary", always=True, sample=20_000, most=20_000)
    return f"{sum(len(block) for block in split.fold.rows.blocks()):,} rows read"


def spill(folder: Path) -> str:
    """The same, and trees grown on bins that lie on the disk."""
    from framework.contender import Context
    from framework.contenders.xgboost import XGBoost
    from framework.data.stream import stream

    split = stream(folder, target="y", kind="binary", always=True, sample=20_000, most=20_000)
    with tempfile.TemporaryDirectory(prefix="fit-") as scratch:
        made = XGBoost(rounds=3, patience=0, memory_gigabytes=0.02)
        made.fit(split.fold, Context(folder=Path(scratch)))
    return f"{len(split.fold.rows):,} rows learned from"


WORK = {"understand": understand, "read": read, "spill": spill}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=500_000)
    asked.add_argument("--columns", type=int, default=50)
    asked.add_argument("--times", type=int, nargs="+", default=list(TIMES))
    asked.add_argument("--one", choices=WORK, help="what to do here, with the files in --folder")
    asked.add_argument("--folder", type=Path)
    given = asked.parse_args()
    if given.one:
        print(WORK[given.one](given.folder))
        return
    print("| what | rows | wall s | peak MiB | × the first |\n|---|---|---|---|---|")
    first: dict[str, int] = {}
    for times in given.times:
        with tempfile.TemporaryDirectory(prefix="rows-") as folder:
            make(Path(folder), rows=given.rows * times, columns=given.columns)
            for what in WORK:
                command = [sys.executable, "-m", "benchmarks.streaming", "--one", what, "--folder", folder]
                run = footprint(command)
                peak = first.setdefault(what, run.peak)
                print(
                    f"| {what} | {given.rows * times:,} | {run.seconds:.1f} | {run.peak / 2**20:.0f} "
                    f"| {run.peak / peak:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
