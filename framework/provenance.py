"""What a result was made with: commit, lock and versions, as plain text facts."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
LOCK = "requirements.lock"
PACKAGES = ("ray", "torch", "xgboost", "lightgbm", "scikit-learn", "skrub", "numpy", "pandas", "mlflow")


@cache
def provenance() -> dict[str, str]:
    """The git commit ("+ changes" when the tree has some), the lock's SHA-256, and the versions of what computes.

    A fact that is not to be had (no git here, no lock in an installed package) is left out.
    """
    found = {"git_commit": commit(HOME), "lock_sha256": _lock_digest(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[f"version_{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {name: value for name, value in found.items() if value}


def commit(folder: Path) -> str:
    """The commit that a folder's checkout stands at, with "+ changes" when files differ from it; "" outside of git."""
    head = _git(folder, "rev-parse", "HEAD")
    return head + (" + changes" if head and _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _lock_digest() -> str:
    lock = HOME / LOCK
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""


def _git(folder: Path, *arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
