"""Jobs as files: what was asked, how far it is, how it ended. They outlive every process that looks at them."""

import heapq
import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Kind = Literal["batch", "train"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]
FOLDER = ".jobs"  # below the first root: on a cluster, where all nodes reach it
MOST_ENDED = 1_000  # jobs that are kept after they have ended, the newest
KEPT_SECONDS = 30 * 86_400.0  # and for how long
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Job:
    """A file to be scored, or a contest to be held. asked, began, ended: UNIX seconds.

    name: of the model that is asked, or that the winner is registered as; of a contest without one, its target.
    task: what is asked for, and found: what it has led to so far; plain data, as the kind's own file has them.
    attempts: how often it began. seconds: how long it may take, where that is known.
    message: one sentence on how far it is. error: one on why it failed.
    """

    id: str
    kind: Kind
    name: str
    task: dict[str, Any]
    asked: float
    state: State = "waiting"
    attempts: int = 0
    began: float | None = None
    ended: float | None = None
    seconds: float | None = None
    message: str = ""
    found: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def progress(self) -> float:
        """The share of it that is over, 0 to 1: of the time it may take; 0 while that is not known."""
        if self.state == "done":
            return 1.0
        if self.began is None or self.seconds is None:
            return 0.0
        return min(0.99, ((self.ended or time.time()) - self.began) / self.seconds)

    def told(self) -> dict[str, Any]:
        """What a client may know of it."""
        seconds = None if self.began is None else (self.ended or time.time()) - self.began
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "progress": round(self.progress, 4),
            "message": self.message,
            "asked": self.asked,
            "started": self.began,
            "ended": self.ended,
            "seconds": seconds,
            "error": self.error,
            **{key: value for key, value in self.task.items() if key not in ("source", "name")},
            **self.found,
        }


class Jobs:
    """The jobs of a server, in a folder. root: the first of its roots."""

    def __init__(self, root: Path | str) -> None:
        self.folder = Path(root) / FOLDER

    def add(self, kind: Kind, name: str, task: dict[str, Any], *, seconds: float | None = None) -> Job:
        """A new job that waits."""
        job = Job(secrets.token_hex(16), kind, name, task, time.time(), seconds=seconds, message="waits")
        self.keep(job)
        return job

    def keep(self, job: Job, **changes: Any) -> Job:
        """Writes a job down, whole or not at all; one that has ended among those that have."""
        job = replace(job, **changes)
        waiting, ended = self._places(job.id)
        for folder in (self.folder, ended.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        part = self.folder / f".{job.id}.{os.getpid()}"
        part.write_text(json.dumps(asdict(job)), encoding="utf-8")
        if job.ended is None:
            part.replace(waiting)
        else:
            part.replace(ended)
            waiting.unlink(missing_ok=True)
            self._wish(job.id).unlink(missing_ok=True)
        return job

    def job(self, id: str) -> Job | None:
        """The job of this id; None where there is none."""
        if not _ID.fullmatch(id):
            return None
        waiting, ended = self._places(id)
        return self._read(ended) or self._read(waiting) or self._read(ended)  # it may have ended in between

    def unfinished(self) -> list[Job]:
        """Those that wait or run, the oldest first."""
        found = [self.job(path.stem) for path in self.folder.glob("*.json")]
        return sorted((job for job in found if job is not None and job.ended is None), key=lambda job: job.asked)

    def newest(self, most: int) -> list[Job]:
        """Of those that wait or run, and of those that have ended, so many at most, the newest first."""
        ended = heapq.nlargest(most, self._ended())
        found = {job.id: job for job in self.unfinished()}
        found |= {job.id: job for _, id in ended if (job := self.job(id)) is not None}
        return sorted(found.values(), key=lambda job: job.asked, reverse=True)[:most]

    def cancel(self, job: Job) -> None:
        """Leaves word that a job is no longer wanted: whoever does it ends it."""
        self._wish(job.id).touch(mode=0o600)

    def unwanted(self, id: str) -> float | None:
        """When a job was cancelled, UNIX seconds; None: it was not."""
        try:
            return self._wish(id).stat().st_mtime
        except FileNotFoundError:
            return None

    def prune(self) -> None:
        """Deletes those that ended long ago, and all but the newest."""
        ended = sorted(self._ended(), reverse=True)
        oldest = time.time() - KEPT_SECONDS
        for place, (at, id) in enumerate(ended):
            if place >= MOST_ENDED or at < oldest:
                self._places(id)[1].unlink(missing_ok=True)

    def _ended(self) -> list[tuple[float, str]]:
        """When each job that has ended was written, and its id."""
        found = []
        for path in (self.folder / "ended").glob("*.json"):
            try:
                found.append((path.stat().st_mtime, path.stem))
            except FileNotFoundError:  # pruned by another
                continue
        return found

    def _places(self, id: str) -> tuple[Path, Path]:
        """Where a job is until it ends, and then."""
        return self.folder / f"{id}.json", self.folder / "ended" / f"{id}.json"

    def _wish(self, id: str) -> Path:
        return self.folder / f"{id}.cancel"

    def _read(self, path: Path) -> Job | None:
        """The job in a file; None where there is no file, or one that another version of this program has left."""
        try:
            return Job(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
