"""The serving session of this machine: a small file by which a second process finds the first one's Ray."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class ServingSession:
    """A Ray that a process of this user started to serve models.

    address: where its Ray is joined. folder: its HAProxy's files, empty where it has none.
    pid, born: the process and its start time, so that a stale file is known as such.
    """

    address: str
    url: str
    folder: str
    pid: int
    born: float

    def remember(self) -> None:
        """Leaves word of this session, readable by this user only; another one that lives keeps its own."""
        if running_session() not in (None, self):
            return
        path = state_file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{path.name}.{self.pid}")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(asdict(self), stream)
        part.replace(path)

    def forget(self) -> None:
        """Takes the word back, unless another session has left its own since."""
        if running_session() == self:
            state_file().unlink(missing_ok=True)


def this_process(*, address: str, url: str, folder: str) -> ServingSession:
    """A session that ends with this process."""
    return ServingSession(address, url, folder, os.getpid(), psutil.Process().create_time())


def running_session() -> ServingSession | None:
    """The session that serves on this machine now; None when there is none, or only the file of a dead one."""
    try:
        session = ServingSession(**json.loads(state_file().read_text(encoding="utf-8")))
        return session if psutil.Process(session.pid).create_time() == session.born else None
    except (OSError, ValueError, TypeError, psutil.Error):
        return None


def state_file() -> Path:
    """Where the session is written down."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "contenders" / "serving.json"
