"""Jobs as files: what was asked, how far it is, how it ended. They outlive every process that looks at them."""

import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "running", "done", "failed"]
FOLDER = ".jobs"  # below the first root: on a cluster, where all nodes reach it
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Job:
    """A file to be scored. source: the model's, as a replica's configuration has it. asked, began, ended: UNIX seconds.

    attempts: how often it began. error: one sentence on why it failed.
    """

    id: str
    model: str
    source: dict[str, Any]
    data: str
    out: str
    asked: float
    state: State = "waiting"
    attempts: int = 0
    began: float | None = None
    ended: float | None = None
    rows: int | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None

    def told(self) -> dict[str, Any]:
        """What a client may know of it."""
        seconds = None if self.began is None else (self.ended or time.time()) - self.began
        return {
            "id": self.id,
            "model": self.model,
            "version": self.source.get("version"),
            "data": self.data,
            "out": self.out,
            "state": self.state,
            "rows": self.rows,
            "seconds": seconds,
            "warnings": list(self.warnings),
            "error": self.error,
        }


class Jobs:
    """The jobs of a server, in a folder. root: the first of its roots."""

    def __init__(self, root: Path | str) -> None:
        self.folder = Path(root) / FOLDER

    def add(self, model: str, source: dict[str, Any], *, data: Path, out: Path) -> Job:
        """A new job that waits."""
        job = Job(secrets.token_hex(16), model, source, str(data), str(out), time.time())
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

    def _places(self, id: str) -> tuple[Path, Path]:
        """Where a job is until it ends, and then."""
        return self.folder / f"{id}.json", self.folder / "ended" / f"{id}.json"

    def _read(self, path: Path) -> Job | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Job(**{**content, "warnings": tuple(content["warnings"])})
