"""What a process keeps in the machine's shared memory."""

import contextlib

import psutil


def shared_memory(process: psutil.Process) -> set[str]:
    """The files of shared memory that it has open or mapped."""
    with contextlib.suppress(psutil.Error):
        paths = {each.path for each in process.memory_maps()} | {each.path for each in process.open_files()}
        return {path for path in paths if path.startswith("/dev/shm/")}
    return set()
