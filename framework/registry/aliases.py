"""How a model's aliases move: several at once, in turn with everyone else's changes, each with a line of history."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from framework.registry.audit import Change, changes, record
from framework.registry.exclusive import alone
from framework.registry.lookup import aliases, find, search
from framework.registry.permission import permitted
from framework.registry.version import ARCHIVED, CHALLENGER, CHAMPION, RegistryError
from framework.tracking import client

if TYPE_CHECKING:
    from mlflow import MlflowClient


def move(
    api: "MlflowClient",
    name: str,
    to: Mapping[str, int | None],
    *,
    act: str,
    why: str = "",
    expected: Mapping[str, int | None] | None = None,
) -> list[Change]:
    """Points each alias to its version, None: nowhere. expected: what they must still point to.

    Raises RegistryError when somebody else has moved one meanwhile; then nothing is changed.
    """
    with alone(api, name):
        now = aliases(api, name)
        for alias, version in (expected or {}).items():
            if now.get(alias) != version:
                raise RegistryError(
                    f"{alias} of {name!r} is {_told(now.get(alias))} now, and was {_told(version)} a moment ago: "
                    f"somebody else has changed it. Look at its history and run this again."
                )
        steps = [(alias, now.get(alias), version) for alias, version in to.items() if now.get(alias) != version]
        written = record(api, name, steps, act, why)
        for alias, _, version in steps:
            if version is None:
                api.delete_registered_model_alias(name, alias)
            else:
                api.set_registered_model_alias(name, alias, str(version))
    return written


@permitted()
def rollback(name: str, *, why: str = "", store: str | None = None) -> Change:
    """Makes the champion before the present one champion again; the present one is archived. Once more goes one
    further back.

    Raises RegistryError where there is none before it.
    """
    api = client(store)
    kept = {int(each.version) for each in search(api, name)}
    now = aliases(api, name).get(CHAMPION)
    before = [version for version in champions(api, name) if version in kept and version != now]
    if not before:
        raise RegistryError(f"model {name!r} has no champion before {_told(now)}: there is nothing to go back to.")
    to: dict[str, int | None] = {CHAMPION: before[-1], **({} if now is None else {ARCHIVED: now})}
    written = move(api, name, to, act="rolled back", why=why, expected={CHAMPION: now})
    return written[0]


def champions(api: "MlflowClient", name: str) -> list[int]:
    """The champions that led to the present one, oldest first; those that were rolled back are not among them."""
    line: list[int] = []
    for change in changes(api.get_registered_model(name).tags):
        if change.alias != CHAMPION or change.after is None:
            continue
        if change.before is not None and (not line or line[-1] != change.before):
            line.append(change.before)  # it was set by somebody else
        if change.act == "rolled back":
            while line and line[-1] != change.after:
                line.pop()
        if not line or line[-1] != change.after:
            line.append(change.after)
    return line


@permitted()
def archive(name: str, version: int, *, why: str = "", store: str | None = None) -> Change:
    """Sets a version aside: the alias `archived` points to it, and `challenger` no longer does.

    Versions archived before keep their line in the history. Raises RegistryError for the champion, which has to be
    followed first, and for a version that is not there.
    """
    api = client(store)
    find(api, name, version)
    now = aliases(api, name)
    if now.get(CHAMPION) == version:
        raise RegistryError(
            f"version {version} of {name!r} is its champion. Promote another one, or roll back, before archiving it."
        )
    to: dict[str, int | None] = {ARCHIVED: version}
    if now.get(CHALLENGER) == version:
        to[CHALLENGER] = None
    written = move(api, name, to, act="archived", why=why, expected={CHAMPION: now.get(CHAMPION)})
    if not written:
        raise RegistryError(f"version {version} of {name!r} is archived already.")
    return written[0]


def _told(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
