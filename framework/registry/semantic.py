"""A version's number by what changed against the champion: MAJOR.MINOR.PATCH, as Semantic Versioning 2.0.0 has it.

Another schema breaks who asks: major. Other rows or other code give another model for the same callers: minor. The
same rows and code with another seed or other settings: patch.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from framework.registry.version import SEMANTIC

FIRST = "1.0.0"
TOLD = 5  # columns named in a reason


def semantic_version(
    now: Mapping[str, str], champion: Mapping[str, str] | None, taken: Collection[str] = ()
) -> tuple[str, str]:
    """The number of a version that is registered now, and a sentence with the reason.

    now, champion: their tags (`Evidence.tags`); None: there is no champion. taken: numbers that are given already.
    """
    if champion is None:
        return _free([1, 0, 0], 0 if FIRST in taken else 2, taken), "There was no champion to compare it with."
    place, reason = _level(now, champion)
    base = champion.get(SEMANTIC, FIRST)
    return _free([int(part) for part in base.split(".")], place, taken, up=True), f"Against champion {base}: {reason}."


def _level(now: Mapping[str, str], before: Mapping[str, str]) -> tuple[int, str]:
    """Which part of the number rises (0 major, 1 minor, 2 patch), and why."""
    asked, known = _schema(now), _schema(before)
    if asked and known and (differences := _differences(asked, known)):
        return 0, f"other schema: {'; '.join(differences)}"
    data = "data_digest" if "data_digest" in now and "data_digest" in before else "fingerprint"
    found = [
        f"other {what}"
        for what, keys in (("data", (data,)), ("code", ("git_commit", "lock_sha256")))
        if any(now.get(key) != before.get(key) for key in keys)
    ]
    if found:
        return 1, " and ".join(found)
    return 2, "same data, commit and schema, other settings or seed"


def _schema(tags: Mapping[str, str]) -> dict[str, Any]:
    return dict(json.loads(tags["schema"])) if "schema" in tags else {}


def _differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    told = [f"{key} {now[key]}, was {before[key]}" for key in ("kind", "target", "classes") if now[key] != before[key]]
    columns, known = now["columns"], before["columns"]
    new, gone = [c for c in columns if c not in known], [c for c in known if c not in columns]
    other = [f"{c} is a {columns[c]}, was a {known[c]}" for c in columns if c in known and columns[c] != known[c]]
    told += [f"new column {_names(new)}"] if new else []
    told += [f"without column {_names(gone)}"] if gone else []
    return told + other[:TOLD]


def _names(names: list[str]) -> str:
    return ", ".join(names[:TOLD]) + (f" and {len(names) - TOLD} more" if len(names) > TOLD else "")


def _free(number: list[int], place: int, taken: Collection[str], *, up: bool = False) -> str:
    """The number with this part raised, again while it is taken."""
    parts = [*number[:place], number[place] + up, *(0 for _ in number[place + 1 :])]
    while (told := ".".join(map(str, parts))) in taken:
        parts[place] += 1
    return told
