"""One change of a model's aliases at a time, across processes and machines.

MLflow has no transaction over several calls. What it has are tags: each write is one row of its own, and whoever reads
after writing sees all that was written before. So everyone who wants to change something puts up a sign and then looks
for others' signs; with one in sight it takes its own down, and tries again after a random moment. Of two that come at
once at least one sees the other.
"""

import getpass
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from framework.registry.version import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SIGN = "changing."
DEAD_SECONDS = 20.0  # a sign that is seen for so long was left by a process that died: a change takes less than one
PATIENCE_SECONDS = 40.0


@contextmanager
def alone(api: "MlflowClient", name: str, *, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Holds off everyone else who changes this model's aliases through this function.

    Raises RegistryError naming who is at it, when they are not done in time.
    """
    own = f"{SIGN}{secrets.token_hex(8)}"
    noticed: dict[str, float] = {}
    end = time.monotonic() + patience
    while True:
        api.set_registered_model_tag(name, own, person())
        signs = api.get_registered_model(name).tags
        others = {key: who for key, who in signs.items() if key.startswith(SIGN) and key != own}
        now = time.monotonic()
        noticed = {key: noticed.get(key, now) for key in others}
        dead = [key for key, since in noticed.items() if now - since > DEAD_SECONDS]
        for key in dead:
            api.delete_registered_model_tag(name, key)
        if not set(others) - set(dead):
            break
        api.delete_registered_model_tag(name, own)
        if now > end:
            who = ", ".join(sorted(set(others.values())))
            raise RegistryError(f"{who} is changing {name!r} right now. Try again in a minute.")
        time.sleep(random.uniform(0.02, 0.3))
    try:
        yield
    finally:
        api.delete_registered_model_tag(name, own)


def person() -> str:
    """Who is at the keyboard, as the history tells it: user@host, and the account at the tracking server if another."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    account = os.environ.get("MLFLOW_TRACKING_USERNAME")
    own = f"{user}@{socket.gethostname()}"
    return own if account in (None, "", user) else f"{account} ({own})"
