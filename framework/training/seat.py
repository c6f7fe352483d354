"""What a training loop says from inside its Ray Train worker: reports and checkpoints, and where it may go on."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.training.checkpoint import flaw, pack, seal, unpack
from framework.training.failure import TrainingError
from framework.training.shelf import Shelf


@dataclass
class _Seat:
    """What a loop in a worker knows of its run."""

    guard: Any
    shelf: Shelf | None
    reports: int = 0


_seat: ContextVar[_Seat] = ContextVar("_seat")


def enter(config: dict[str, Any]) -> Any:
    """The loop in its worker."""
    import ray

    _seat.set(_Seat(config["guard"], config["shelf"]))
    loop, facts = ray.get(config["work"])
    return loop(facts)


def rank() -> int:
    """Of this worker, from 0."""
    import ray.train

    return int(ray.train.get_context().get_world_rank())


def size() -> int:
    """How many workers there are now."""
    import ray.train

    return int(ray.train.get_context().get_world_size())


def remark(sentence: str) -> None:
    """Tells what the reader of the result should know; it comes out as a remark of the context that `run` was given."""
    _seat.get().guard.note.remote(sentence)


def report(metrics: dict[str, float], write: Callable[[Path], None] | None = None) -> None:
    """Tells rank 0's metrics; with `write`, keeps a checkpoint as well.

    metrics: numbers; "step" among them is the step they belong to, else reports are counted.
    write: fills an empty folder; called on rank 0 alone. With it all ranks must call this, equally often: they meet
    here. Without it nobody waits: cheap enough for every boosting round.
    Raises TrainingError when the storage refuses; earlier checkpoints are left as they are.
    """
    seat = _seat.get()
    seat.reports += 1
    told = dict(metrics)
    step = int(told.pop("step", seat.reports))
    if write is not None:
        _keep(seat, told, write)
    if told and rank() == 0:
        seat.guard.hear.remote(step, told)


def _keep(seat: _Seat, metrics: dict[str, float], write: Callable[[Path], None]) -> None:
    import ray.train
    from ray.train.collective import barrier

    checkpoint, name = None, None
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
        try:
            if rank() == 0:
                write(Path(folder))
                seal(Path(folder))
                if seat.shelf is None:
                    ray.get(seat.guard.keep.remote(pack(Path(folder))))
                else:
                    checkpoint, name = ray.train.Checkpoint.from_directory(folder), seat.shelf.next_name()
            if seat.shelf is None:
                barrier()
            else:
                ray.train.report(metrics, checkpoint=checkpoint, checkpoint_dir_name=name)
        except OSError as error:
            where = seat.shelf.uri if seat.shelf else folder
            raise TrainingError(
                f"checkpoint {name or ''} could not be written to {where} ({error}). The earlier checkpoints are "
                f"intact; make the storage writable and start again with the same checkpoints."
            ) from error


@contextmanager
def newest() -> Iterator[Path | None]:
    """The newest whole checkpoint of this run as a folder to read from, the same on every rank; None where there is
    none. One that is not as it was written is passed over, with a remark. All ranks must call this."""
    import ray
    from ray.train.collective import broadcast_from_rank_zero

    seat = _seat.get()
    if seat.shelf is None:
        # Rank 0's word: another rank may ask when the first checkpoint of this very attempt is there already.
        number = broadcast_from_rank_zero(ray.get(seat.guard.newest.remote()) if rank() == 0 else 0)
        if not number:
            yield None
            return
        if rank() == 0:
            remark(f"goes on from its checkpoint {number}, in memory")
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            unpack(ray.get(seat.guard.kept.remote(number)), Path(folder))
            yield Path(folder)
        return
    name = ""
    if rank() == 0:
        found, remarks = seat.shelf.newest()
        name = found or ""
        for sentence in [*remarks, *([f"goes on from {name}"] if name else [])]:
            remark(sentence)
    name = broadcast_from_rank_zero(name)
    if not name:
        yield None
        return
    with seat.shelf.open(name) as folder:
        if rank() and (wrong := flaw(folder)):
            raise TrainingError(
                f"rank {rank()} does not see checkpoint {name} in {seat.shelf.uri} as rank 0 does: {wrong}. The "
                f"checkpoints must lie where every node reaches them."
            )
        yield folder
