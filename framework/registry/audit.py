"""Who changed which alias when and why: one tag of the registered model for each change, never written twice.

A tag has a key of its own, so that two who write at once lose nothing. It is written before the alias moves: no change
is without its line. Tags are kept with the model, and gone with it; whoever may write to the registry may also delete
them, so guard it by MLflow's accounts where that matters.
"""

import html
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from framework.registry.exclusive import person
from framework.registry.lookup import search
from framework.registry.permission import permitted
from framework.tracking import client

if TYPE_CHECKING:
    from mlflow import MlflowClient

LINE = "history."
LONGEST = 2_000  # letters of a reason; MLflow's column holds 5,000
HEAD = ("when (UTC)", "who", "what", "alias", "from", "to", "why")


@dataclass(frozen=True)
class Change:
    """An alias that moved. before, after: versions; None: it pointed nowhere.

    when: UTC, ISO 8601. act: "registered", "promoted", "forced", "rolled back" or "archived".
    """

    when: str
    who: str
    act: str
    alias: str
    before: int | None
    after: int | None
    why: str = ""

    def cells(self) -> tuple[str, ...]:
        """As a row of the history."""
        ends = ["–" if each is None else str(each) for each in (self.before, self.after)]
        return (self.when[:19].replace("T", " "), self.who, self.act, self.alias, *ends, self.why)

    def __str__(self) -> str:
        before, after = ("none" if each is None else f"version {each}" for each in (self.before, self.after))
        why = f" ({self.why})" if self.why else ""
        return f"{self.alias}: {before} → {after}, {self.act} by {self.who}{why}"


@dataclass(frozen=True)
class History:
    """All changes of a model's aliases, oldest first. Prints as text, shows as a table in a notebook."""

    name: str
    changes: tuple[Change, ...]

    def __len__(self) -> int:
        return len(self.changes)

    def __str__(self) -> str:
        lines = [HEAD, *(change.cells() for change in self.changes)]
        wide = [max(len(line[place]) for line in lines) for place in range(len(HEAD))]
        told = ["  ".join(cell.ljust(width) for cell, width in zip(line, wide, strict=True)).rstrip() for line in lines]
        return "\n".join([f"{self.name}: {len(self.changes)} changes", *told])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{cell}</th>" for cell in HEAD)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in change.cells())}</tr>" for change in self.changes
        )
        title = f"<h4>{html.escape(self.name)}: {len(self.changes)} changes</h4>"
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data."""
        return [asdict(change) for change in self.changes]


@permitted()
def history(name: str, *, store: str | None = None) -> History:
    """Who changed which alias of this model, when and why. Raises RegistryError for a name that is not registered.

    The names are what the writers' own machines told; only MLflow's accounts hold them to it.
    """
    api = client(store)
    search(api, name)
    return History(name, tuple(changes(api.get_registered_model(name).tags)))


def changes(tags: dict[str, str]) -> list[Change]:
    """The changes among a registered model's tags, oldest first."""
    lines = sorted((key, value) for key, value in tags.items() if key.startswith(LINE))
    return [Change(**json.loads(value)) for _, value in lines]


def record(
    api: "MlflowClient", name: str, moves: Iterable[tuple[str, int | None, int | None]], act: str, why: str
) -> list[Change]:
    """Writes a line for each (alias, before, after), all of one moment."""
    now = datetime.now(UTC)
    written = []
    for place, (alias, before, after) in enumerate(moves):
        change = Change(now.isoformat(), person(), act, alias, before, after, why[:LONGEST])
        key = f"{LINE}{now:%Y%m%dT%H%M%S.%f}.{place}.{secrets.token_hex(4)}"
        api.set_registered_model_tag(name, key, json.dumps(asdict(change), ensure_ascii=False))
        written.append(change)
    return written
