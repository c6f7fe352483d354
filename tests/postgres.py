"""A real PostgreSQL on a free port of the loopback, for as long as a test needs it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.ports import free_ports

USER, PASSWORD, DATABASE = "tester", "s3cret-w0rd", "research"


@contextmanager
def postgres() -> Iterator[str]:
    """A fresh server; yields `postgresql://user:password@127.0.0.1:port/database`. It is gone afterwards.

    Raises FileNotFoundError when PostgreSQL's binaries are not on this machine.
    """
    binaries = _binaries()
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        secret = home / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            home.chmod(0o755)
            for path in (home, secret):
                shutil.chown(path, "postgres", "postgres")
        data, port = home / "data", free_ports(1)[0]
        _run([binaries / "initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"])
        settings = f"-h 127.0.0.1 -p {port} -k {home} -c fsync=off -c shared_buffers=16MB"
        _run([binaries / "pg_ctl", "-D", data, "-o", settings, "-l", home / "log", "-w", "-t", "60", "start"])
        try:
            login = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}"
            _create(login)
            yield f"{login}/{DATABASE}"
        finally:
            _run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _create(login: str) -> None:
    import psycopg

    with psycopg.connect(f"{login}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}".encode())


def _binaries() -> Path:
    """Where `initdb` is: on PATH, or where Debian puts it."""
    found = [Path(where).parent for where in [shutil.which("initdb")] if where]
    found += sorted((p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)
    if not found:
        raise FileNotFoundError("PostgreSQL is not installed: no initdb on PATH or under /usr/lib/postgresql/*/bin")
    return found[0]


def _run(command: Sequence[str | Path]) -> None:
    """PostgreSQL refuses to run as root: then it runs as the user `postgres`."""
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", "postgres", "--", *words]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr}")
