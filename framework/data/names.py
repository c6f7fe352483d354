"""Column names: distinct texts."""

from collections.abc import Sequence
from typing import Any


def distinct_names(names: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Column names as stripped texts, the second `a` as `a.1`, and a remark where that changed some.

    A column without a name is called by its place, `Unnamed: 0`.
    """
    found: list[str] = []
    renamed: list[str] = []
    taken = {_name(name, place) for place, name in enumerate(names)}
    used: set[str] = set()
    for place, name in enumerate(names):
        text = _name(name, place)
        fresh, count = text, 0
        while fresh in used or (count and fresh in taken):
            count += 1
            fresh = f"{text}.{count}"
        if fresh != text:
            renamed.append(f"{text!r} as {fresh!r}")
        used.add(fresh)
        found.append(fresh)
    remark = f"columns of the same name were told apart: {', '.join(renamed)}"
    return found, [remark] if renamed else []


def _name(name: Any, place: int) -> str:
    text = "_".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)
    return text.strip().lstrip("\ufeff") or f"Unnamed: {place}"
