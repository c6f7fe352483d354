"""An Env's interpreter, made from its compiled requirements lock: by `make envs`, in an image, or at its first use."""

import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.user_error import UserError

log = logging.getLogger(__name__)

LOCKS = Path(__file__).parent / "envs"
LOCK = "requirements.lock"
FOLDER = "CONTENDERS_ENVS"  # the variable that names the folder of all Envs, of a node or of whoever calls
STAMP = "complete.json"  # written last: an Env without it is half built
LAST_LINES = 6  # of what uv said, told when it fails


class BuildError(UserError):
    """An Env that is not there and could not be made."""


@dataclass(frozen=True)
class Blueprint:
    """What an Env is made from, and where it stands: another place for another lock.

    home: the same on every node, save on those that have a CONTENDERS_ENVS of their own.
    lock: the text of its requirements lock; it travels, so that a node needs nothing but uv and a package index.
    """

    name: str
    lock: str
    home: str

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(Path(self.home) / "bin" / "python")

    @property
    def anywhere(self) -> str:
        """The same in the words of a shell, which each node reads in its own surroundings."""
        home = Path(self.home)
        return f'"${{{FOLDER}:-{home.parent}}}/{home.name}/bin/python"'

    @property
    def here(self) -> "Blueprint":
        """The same as it stands on this node."""
        root = os.environ.get(FOLDER)
        return replace(self, home=str(Path(root).absolute() / Path(self.home).name)) if root else self

    @property
    def complete(self) -> bool:
        return (Path(self.home) / STAMP).is_file() and os.access(self.python, os.X_OK)


def blueprint(name: str, *, root: Path | None = None) -> Blueprint:
    """How the Env of this name is made. root: the folder of all Envs, by default as `folder()` says.

    Raises BuildError naming the Envs there are when there is no such one.
    """
    path = LOCKS / name / LOCK
    if not path.is_file():
        raise BuildError(f"there is no Env {name!r}; there is: {', '.join(names())}. An Env is a folder of {LOCKS}.")
    lock = path.read_text(encoding="utf-8")
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(f"{minor}\n{lock}".encode()).hexdigest()[:12]
    return Blueprint(name, lock, str((root or folder()) / f"{name}-{digest}"))


def names() -> list[str]:
    """All Envs that have a lock."""
    return sorted(path.parent.name for path in LOCKS.glob(f"*/{LOCK}"))


def folder() -> Path:
    """Where Envs stand: CONTENDERS_ENVS, else ~/.cache/contenders/envs."""
    return Path(os.environ.get(FOLDER) or Path.home() / ".cache" / "contenders" / "envs").absolute()


def build(made: Blueprint) -> float:
    """Makes the Env on this machine unless it stands already; returns the seconds that took, 0 when it stood.

    Processes that want it at once make it once: the others wait. Whole or not at all: it is made beside its place and
    moved there, and what an interrupted build left is removed first.
    Raises BuildError with uv's own words.
    """
    if made.complete:
        return 0.0
    home = Path(made.home)
    with _lone(made) as held:
        if made.complete:
            return 0.0
        began = time.monotonic()
        log.info("env %s: building %s from its lock (once on this machine; about a minute)", made.name, home)
        for old in [home, *home.parent.glob(f".{home.name}.*.part")]:
            shutil.rmtree(old, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{home.name}.", suffix=".part", dir=home.parent))
        try:
            _install(made, part, held)
            (part / STAMP).write_text(json.dumps({"env": made.name, "python": sys.version}), encoding="utf-8")
            part.chmod(0o755)  # in an image another user runs it
            part.rename(home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        seconds = time.monotonic() - began
        log.info("env %s: built in %.0f s", made.name, seconds)
        return seconds


@contextmanager
def _lone(made: Blueprint) -> Iterator[int]:
    """One process of this machine at a time. Yields the lock's file descriptor.

    A killed process lets go by itself; its uv, which outlives it, holds on through its own copy until it ends.
    """
    home = Path(made.home)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        file = (home.parent / f".{home.name}.lock").open("w")
    except OSError as error:
        raise BuildError(
            f"Env {made.name!r} cannot be built in {home.parent}: {error.strerror}. Point {FOLDER} at a folder that "
            f"can be written."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("env %s: another process is building it; waiting", made.name)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _install(made: Blueprint, part: Path, held: int) -> None:
    # This very Python on both sides; --no-deps: the lock is complete, and some were resolved against their pins.
    venv = ("venv", "--relocatable", "--no-project", "--allow-existing", "--python", sys.executable, str(part))
    _uv(made, venv, held)
    lock = part / LOCK
    lock.write_text(made.lock, encoding="utf-8")
    # Without bytecode Ray's workers start so slowly that the raylet gives up on them.
    python = str(part / "bin" / "python")
    pip = ("pip", "install", "--compile-bytecode", "--no-deps", "--python", python, "--requirement", str(lock))
    try:
        _uv(made, (*pip, "--offline"), held)  # all wheels in uv's cache: a node that reaches no index does with them
    except BuildError:
        _uv(made, pip, held)


def _uv(made: Blueprint, words: tuple[str, ...], held: int) -> None:
    surroundings = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    links = surroundings.get("PIP_FIND_LINKS")
    if links:
        surroundings.setdefault("UV_FIND_LINKS", links)  # uv does not read pip's variable
    surroundings["UV_PYTHON_DOWNLOADS"] = "never"
    told = subprocess.run([*uv(), *words], env=surroundings, capture_output=True, text=True, pass_fds=[held])
    if told.returncode:
        last = " ".join(" ".join(told.stderr.split("\n")[-LAST_LINES:]).split())
        raise BuildError(f"Env {made.name!r} cannot be built: `uv {' '.join(words[:2])}` failed: {last}")


def uv() -> list[str]:
    """The command that starts uv. Raises BuildError where there is none."""
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        raise BuildError(
            f"Envs are built by uv, and this Python ({sys.executable}) has none. Install it (pip install uv), or use "
            f"an image in which `make envs` has run."
        )
    return [found]


def main(wanted: list[str]) -> int:
    """Builds the named Envs, or all; prints a line for each. Returns the process's exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for name in wanted or names():
            made = blueprint(name)
            if not build(made):
                log.info("env %s: stands in %s", name, made.home)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
