"""Work that is done before it is asked for: reading on a thread, copies to a GPU under the step before."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

    from framework.training.rows import Part, Rows

T = TypeVar("T")
DEPTH = 2  # batches that wait, read and decoded


def ahead(items: Iterator[T], depth: int = DEPTH) -> Iterator[T]:
    """The same items, made on a thread of their own; what it raises is raised here."""
    made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    left = threading.Event()

    def hand(item: T | None, error: BaseException | None) -> None:
        while not left.is_set():
            try:
                return made.put((item, error), timeout=0.2)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                hand(item, None)
                if left.is_set():
                    return
            hand(None, StopIteration())
        except BaseException as error:  # the border of a thread: it has nobody else to tell
            hand(None, error)

    thread = threading.Thread(target=work, daemon=True, name="read ahead")
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        left.set()
        thread.join(timeout=5.0)


def sent(parts: "Iterator[Part]", device: "torch.device") -> "Iterator[Part]":
    """Parts on the CPU → the same on the device. On a GPU the next is on its way while one is worked on."""
    if device.type == "cpu":
        yield from parts
        return
    waiting = None
    for part in parts:
        coming = replace(part, rows=_copied(part.rows, device))
        if waiting is not None:
            yield waiting
        waiting = coming
    if waiting is not None:
        yield waiting


def _copied(rows: "Rows", device: "torch.device") -> "Rows":
    """Through pinned memory, without waiting for it."""
    moved = (part.pin_memory().to(device, non_blocking=True) for part in (rows.inputs, rows.answers, rows.weights))
    return type(rows)(*moved)
