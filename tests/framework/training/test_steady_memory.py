"""What a training asks of the machine beside its arithmetic: pages of memory, and looks at its workers."""

import subprocess
import sys

from framework.training.pace import pause

FAULTS = """
import resource
import torch
from framework.training.memory import steady_memory

def faults(steps=6):
    "Pages that the kernel had to hand out for each step that takes 48 MB and gives them back."
    torch.ones(12_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        torch.ones(12_000_000)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps

before = faults()
with steady_memory():
    within = min(faults() for _ in range(4))  # the heap grows to what is needed first
print(before, within, faults())
"""


def test_a_step_gets_the_memory_that_the_last_one_gave_back() -> None:
    """In a process of its own, whose heap nobody has used yet."""
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, timeout=240, check=True)
    before, within, after = map(float, told.stdout.split())
    assert before > 1000
    assert within < 100
    assert after > 1000


def test_looks_at_workers_grow_rare_with_the_time_they_train() -> None:
    assert [pause(seconds) for seconds in (0.0, 10.0, 25.0, 50.0, 3600.0)] == [0.2, 0.2, 0.5, 1.0, 1.0]
    assert pause(3600.0, shortest=2.0) == 2.0  # what a person asked Ray Train for
