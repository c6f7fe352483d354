"""What a training asks of the machine beside its arithmetic: pages of memory, and looks at its workers."""

import resource

import torch

from framework.training.memory import steady_memory
from framework.training.pace import pause


def faults(steps: int = 6) -> float:
    """Pages that the kernel had to hand out for each step that takes 48 MB and gives them back."""
    torch.ones(12_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        torch.ones(12_000_000)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps


def test_a_step_gets_the_memory_that_the_last_one_gave_back() -> None:
    assert faults() > 1000
    with steady_memory():
        # The heap grows to what is needed; it may have to once more, where something small has come to lie in between.
        assert min(faults() for _ in range(4)) < 100
    assert faults() > 1000


def test_looks_at_workers_grow_rare_with_the_time_they_train() -> None:
    assert [pause(seconds) for seconds in (0.0, 10.0, 25.0, 50.0, 3600.0)] == [0.2, 0.2, 0.5, 1.0, 1.0]
    assert pause(3600.0, shortest=2.0) == 2.0  # what a person asked Ray Train for
