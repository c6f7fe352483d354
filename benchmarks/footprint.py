"""A command's wall clock, CPU seconds, and the most memory that it and all its processes took at once."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Footprint:
    """peak: bytes, the proportional set size (shared pages counted once) of the whole process tree. cpu: seconds of
    all its processes together, as last seen of each: they are what a busy machine leaves as they are."""

    seconds: float
    peak: int
    told: str
    cpu: float


def footprint(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Footprint:
    """Runs a command to its end. Raises RuntimeError with the end of its output when it fails."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        peak, cpu = 0, dict[tuple[int, float], float]()
        while process.poll() is None:
            peak = max(peak, _held(process.pid, cpu))
            time.sleep(PAUSE_SECONDS)
        seconds = time.perf_counter() - began
        told = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{told[-2000:]}")
    return Footprint(seconds, peak, told.strip(), sum(cpu.values()))


def _held(pid: int, cpu: dict[tuple[int, float], float]) -> int:
    """Bytes of a process and its descendants. cpu: (pid, its start) → seconds, brought up to date."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
            times = process.cpu_times()
            cpu[process.pid, process.create_time()] = times.user + times.system
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
