"""What a served model's address says: its registered name, its version, and what an alias means today."""

from pathlib import Path


def pinned(uri: str, folder: Path) -> str:
    """The URI of the version that an alias means now: replicas that start later serve the same one."""
    from framework.registry import resolve, versions

    name, alias = registered(uri), uri.rpartition("@")[2]
    if not name or "@" not in uri:
        return uri
    likely_first = sorted(versions(name), key=lambda each: each.alias != alias)
    return next((each.uri for each in likely_first if resolve(each.uri).resolve() == folder), uri)


def registered(uri: str) -> str:
    """The registry's name in a URI; empty for a folder."""
    rest = uri.removeprefix("models:/")
    return "" if rest == uri else rest.rpartition("@" if "@" in rest else "/")[0]


def version(uri: str) -> str | None:
    """The number of a registered version; None for a folder."""
    return uri.rpartition("/")[2] if uri.startswith("models:/") and "@" not in uri else None
