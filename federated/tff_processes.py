"""What TensorFlow Federated runs in, and that none of it is left: part of the far half, in the Env "tff"."""

import contextlib
import os
import time
from collections.abc import Sequence

END_SECONDS = 20.0  # how long processes may take to end before they are killed
LOOK_SECONDS = 0.2
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def family() -> list[int]:
    """The ids of this process and of all that it has started, TFF's worker_binary among them."""
    import psutil

    return [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]


def end(processes: Sequence[int]) -> None:
    """Waits until these have ended, and kills those that do not: worker_binary outlives a parent that was killed."""
    import psutil

    until = time.monotonic() + END_SECONDS
    while left := [pid for pid in processes if _runs(pid)]:
        if time.monotonic() > until:
            for pid in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).kill()
            return
        time.sleep(LOOK_SECONDS)


def _runs(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
