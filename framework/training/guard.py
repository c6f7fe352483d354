"""The actor beside a training run: hears its reports, keeps its checkpoints where there is no storage, and clears up
when the process that conducts the run is gone."""

import os
import threading
import time
from contextlib import suppress
from typing import Any

START_SECONDS = 120.0  # until it has a conductor to watch
PULSE_SECONDS = 1.0  # how often it looks whether the conductor lives
KEPT = 2  # checkpoints in memory


def group_name(conductor: str, group: str) -> str:
    """What a placement group is called. conductor: the actor's id in hex. group: any text that is unique."""
    return f"conducted-{conductor}-{group}"


class Guard:
    """One for each run. It outlives the process that made it, since that is what it guards against: a killed fit would
    leave its placement group, and the CPUs in it, taken until the whole job ends."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.remarks: list[str] = []
        self.checkpoints: dict[int, bytes] = {}
        self.conductor = ""  # its actor id
        self.without = time.time()  # since when no group of workers runs; 0.0 while one does
        self.size = 0
        self.orphaned = threading.Timer(START_SECONDS, os._exit, args=(0,))
        self.orphaned.daemon = True
        self.orphaned.start()

    def hear(self, step: int, metrics: dict[str, float]) -> None:
        self.reports.append((step, metrics))

    def note(self, remark: str) -> None:
        """A sentence that the reader of the result should know."""
        if remark not in self.remarks:
            self.remarks.append(remark)

    def keep(self, packed: bytes) -> None:
        """The newest checkpoint, of a run without storage."""
        number = self.newest() + 1
        self.checkpoints[number] = packed
        self.checkpoints.pop(number - KEPT, None)

    def newest(self) -> int:
        """The number of the newest checkpoint; 0 where there is none."""
        return max(self.checkpoints, default=0)

    def kept(self, number: int) -> bytes:
        return self.checkpoints[number]

    def begun(self, size: int) -> None:
        """A group of `size` workers runs."""
        if self.size and size != self.size:
            self.note(f"went on with {size} worker(s) instead of {self.size}")
        self.size, self.without = size, 0.0

    def ended(self) -> None:
        """The group of workers was stopped, to be started again or not."""
        self.without = time.time()

    def drain(self) -> tuple[list[tuple[int, dict[str, float]]], list[str], float]:
        """Reports since the last call, remarks since the last call, and for how many seconds no worker has run."""
        reports, self.reports = self.reports, []
        remarks, self.remarks = self.remarks, []
        return reports, remarks, time.time() - self.without if self.without else 0.0

    def watch(self, conductor: Any) -> None:
        """From now on it clears up and leaves as soon as this actor is dead."""
        self.orphaned.cancel()
        self.conductor = conductor._actor_id.hex()
        threading.Thread(target=self._watch, args=(conductor,), daemon=True).start()

    def release(self) -> None:
        """Gives back what the workers' placement groups hold, whether any worker was started in them or not."""
        from ray.util.placement_group import get_placement_group, placement_group_table, remove_placement_group

        known = placement_group_table().values()
        ours = group_name(self.conductor, "")
        for name in [
            group["name"] for group in known if group["name"].startswith(ours) and group["state"] != "REMOVED"
        ]:
            with suppress(ValueError):  # removed meanwhile
                remove_placement_group(get_placement_group(name))

    def _watch(self, conductor: Any) -> None:
        import ray

        pulse = conductor.__ray_ready__.remote()
        while True:
            try:
                ray.get(pulse, timeout=PULSE_SECONDS)
                time.sleep(PULSE_SECONDS)
                pulse = conductor.__ray_ready__.remote()
            except ray.exceptions.GetTimeoutError:
                continue  # busy starting workers
            except ray.exceptions.RayError:
                break
        self.release()
        os._exit(0)  # a detached actor cannot be left to be collected
