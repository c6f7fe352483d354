"""The models of an ensemble on disk: each in a folder of its own, once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.contender import Model
from framework.contenders.store import open_model, store_model


def save_members(models: Mapping[str, Model], card: Path, *, weights: Mapping[str, float], **facts: Any) -> None:
    """Writes models beside `card`, a JSON file that names them in their order, with their weights and these facts."""
    members = []
    for place, (name, model) in enumerate(models.items()):
        folder = card.parent / f"member_{place}"
        folder.mkdir()
        store_model(model, folder)
        members.append({"name": name, "weight": weights[name], "folder": folder.name})
    card.write_text(json.dumps({"members": members, **facts}, ensure_ascii=False), encoding="utf-8")


def load_members(card: Path) -> tuple[dict[str, Model], dict[str, float], dict[str, Any]]:
    """The models that `save_members` wrote, their weights, and the facts.

    Raises ValueError where the card names a folder that does not lie beside it.
    """
    facts: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    members = facts.pop("members")
    models: dict[str, Model] = {}
    for member in members:
        if Path(member["folder"]).name != member["folder"]:
            raise ValueError(f"{card} names a member outside of the folder: {member['folder']!r}")
        models[member["name"]] = open_model(card.parent / member["folder"])
    return models, {member["name"]: float(member["weight"]) for member in members}, facts
