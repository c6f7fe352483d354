"""A JVM in this process outlives a Ray that starts after it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray  # two Rays of its own, in another process

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


def test_a_ray_that_starts_after_a_jvm_does_not_end_it() -> None:
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", WORK], cwd=root, capture_output=True, text=True, timeout=200)
    assert "it lives" in ran.stdout, (ran.returncode, ran.stderr[-1000:])
