"""What is wrong with the rows themselves."""

import difflib
from collections.abc import Iterable

from cluster.user_error import UserError


class DataError(UserError):
    """A source that cannot be read as a table, or a table that nothing can be learned from."""


def nearest(name: str, present: Iterable[str], *, what: str) -> str:
    """A sentence with the names closest to `name`; without a near one, the first names there are.

    what: how the names are called in the plural ("files there").
    """
    names = sorted(present)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = [lowered[match] for match in difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.5)]
    if near:
        return f"Did you mean {' or '.join(repr(match) for match in near)}?"
    if not names:
        return f"There are no {what}."
    return f"The {what}: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}."
