"""A JVM in this process outlives a Ray that starts after it, and leaves the main thread its stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORK = """
import threading
from cluster.connect import connect
from framework.contenders.mojo import running_jvm, start_jvm

connect(cpus=1).close()
jpype = start_jvm()
connect(cpus=1)  # takes the JVM's signals
jpype = running_jvm()
halting, over = jpype.JClass("java.lang.System").gc, threading.Event()

def halt():
    while not over.is_set():
        halting()

thread = threading.Thread(target=halt)
thread.start()
for seed in range(40):
    numbers = jpype.JClass("java.util.Random")(seed).doubles(100_000).toArray()
    jpype.JClass("java.util.Arrays").sort(numbers)
over.set()
thread.join()
print("it lives")
"""


SOLVED = """
import numpy as np
from framework.contenders.mojo import start_jvm

start_jvm()
matrix = np.random.default_rng(0).normal(size=(1500, 1500))
print(np.allclose(matrix @ np.linalg.solve(matrix, matrix[:, 0]), matrix[:, 0]))
"""


def ran(work: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    root, variables = Path(__file__).parents[3], {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", work], cwd=root, env=variables, capture_output=True, text=True, timeout=200
    )


@pytest.mark.ray  # two Rays of its own, in another process
def test_a_ray_that_starts_after_a_jvm_does_not_end_it() -> None:
    told = ran(WORK)
    assert "it lives" in told.stdout, (told.returncode, told.stderr[-1000:])


def test_equations_are_solved_by_threads_beside_a_jvm() -> None:
    """The main thread's stack is larger than what a JVM thinks a thread's should be."""
    told = ran(SOLVED, OPENBLAS_NUM_THREADS="2")
    assert told.stdout == "True\n", (told.returncode, told.stderr[-1000:])
