"""A fit's scratch folder on its node's disk: gone when the fit ends, however it ends."""

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PosixPath

STEP_SECONDS = 0.05  # between two looks whether a killed process has gone


@contextmanager
def scratch(race: str = "") -> Iterator[Path]:
    """A folder for one fit, held by this process; what killed processes have left on this node is removed first.

    race: a word that tells the folders of one contest from those of another.
    """
    with _alone() as root:
        _remove(root.iterdir())
        folder = Path(tempfile.mkdtemp(prefix=f"fit-{race}-", dir=root))
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a thread of an engine may still write; the next fit removes it then
        os.close(held)


class Own(PosixPath):
    """A path that somebody can hold on to: a plain one bears no weak references."""


def own_folder() -> Path:
    """A scratch folder for who fits without a contest: gone with the last one who holds this very path."""
    stack = ExitStack()
    folder = Own(stack.enter_context(scratch()))
    weakref.finalize(folder, stack.close)
    return folder


def sweep(race: str, *, seconds: float) -> None:
    """Removes what killed fits of this contest have left on this node, waiting so long for them to be gone."""
    until = time.monotonic() + seconds
    while True:
        with _alone() as root:
            _remove(root.iterdir())
            left = list(root.glob(f"fit-{race}-*"))
        if not left or time.monotonic() > until:
            return
        time.sleep(STEP_SECONDS)


@contextmanager
def _alone() -> Iterator[Path]:
    """The folder of all scratch folders of this user on this node, looked through by one process at a time."""
    root = Path(tempfile.gettempdir()) / f"contenders-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    held = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield root
    finally:
        os.close(held)


def _remove(folders: Iterator[Path]) -> None:
    """Those that no living process holds: a killed one lets go of its lock by itself."""
    for folder in folders:
        with suppress(OSError):  # held, or a file of somebody else
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)
