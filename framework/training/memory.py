"""Memory that stays with the process from one step to the next, as a step asks for what the last one gave back."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h; mallopt takes them as numbers.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE = 2**30  # bytes of a block that goes back to the kernel as soon as it is freed
USUAL_LARGE, USUAL_TRIM = 2**25, 2**26  # what glibc arrives at by itself

# Ray Train calls its loop on a thread, and a thread's own arena gives its memory back whatever `steady_memory` says.
# Read by glibc when a process starts.
WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}


@contextmanager
def steady_memory() -> Iterator[None]:
    """Within it, blocks under LARGE that are freed are kept for what is asked for next.

    glibc gives blocks of 32 MiB and more back to the kernel, and a step that asks for them again waits for every page
    to be zeroed: a tenth of a step of an FT-Transformer, a third of TabM's. Does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux") or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, LARGE)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_THRESHOLD, USUAL_LARGE)
        libc.mallopt(M_TRIM_THRESHOLD, USUAL_TRIM)
        libc.malloc_trim(0)
