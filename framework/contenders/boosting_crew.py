"""The processes that grow trees together, as the rounds see them from inside one of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from framework.contender import Context


class Crew(Protocol):
    """One of `size` ranks, each with its part of the rows."""

    rank: int
    size: int

    def report(self, step: int, metrics: dict[str, float]) -> None:
        """Tells how far the fit is. Nobody waits for it."""
        ...

    def keep(self, step: int, write: Callable[[Path], None]) -> None:
        """Keeps a checkpoint of what `write` fills an empty folder with. All ranks call it at the same round."""
        ...

    def newest(self) -> Any:
        """A context manager that gives the newest whole checkpoint's folder, or None."""
        ...

    def agree(self, value: Any) -> Any:
        """Rank 0's value, on every rank: all that goes by a clock is decided by it."""
        ...


@dataclass
class Alone:
    """A crew of one, in this process."""

    context: Context
    rank: int = 0
    size: int = 1

    def report(self, step: int, metrics: dict[str, float]) -> None:
        self.context.report(step, **metrics)

    def keep(self, step: int, write: Callable[[Path], None]) -> None:
        if self.context.checkpoints is None:
            return
        import tempfile

        from framework.training.checkpoint import seal
        from framework.training.shelf import KEPT

        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            write(Path(folder))
            seal(Path(folder))
            self._shelf.put(Path(folder))
        for old in self._shelf.names()[:-KEPT]:
            self._shelf.drop(old)

    @contextmanager
    def newest(self) -> Iterator[Path | None]:
        name, remarks = (None, []) if self.context.checkpoints is None else self._shelf.newest()
        for sentence in [*remarks, *([f"goes on from {name}"] if name else [])]:
            self.context.remark(sentence)
        if name is None:
            yield None
            return
        with self._shelf.open(name) as folder:
            yield folder

    def agree(self, value: Any) -> Any:
        return value

    @property
    def _shelf(self) -> Any:
        from framework.training.shelf import shelf_of

        return shelf_of(str(self.context.checkpoints))


@dataclass
class OnRay:
    """A worker of Ray Train."""

    rank: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        from framework.training import on_ray

        self.rank, self.size = on_ray.rank(), on_ray.size()

    def report(self, step: int, metrics: dict[str, float]) -> None:
        from framework.training import on_ray

        if self.rank == 0:
            on_ray.report({"step": step, **metrics})

    def keep(self, step: int, write: Callable[[Path], None]) -> None:
        from framework.training import on_ray

        on_ray.report({"step": step}, write)

    def newest(self) -> Any:
        from framework.training import on_ray

        return on_ray.newest()

    def agree(self, value: Any) -> Any:
        from ray.train.collective import broadcast_from_rank_zero

        return value if self.size == 1 else broadcast_from_rank_zero(value)

    def network(self) -> dict[str, Any]:
        """Where LightGBM's ranks listen, as its parameters."""
        from ray.train.lightgbm import get_network_params

        return dict(get_network_params())
