"""A model on disk: its files, and the name of the class that opens them."""

import json
from importlib import import_module
from pathlib import Path

from cluster.user_error import UserError
from framework.contender import Model

ENGINE = "engine.json"
ROOTS = ("framework.", "federated.", "synthetic.")  # a folder from elsewhere must not choose what code is run


class ModelStoreError(UserError):
    """A model folder that names no class, or one that may not be opened."""


def store_model(model: Model, folder: Path) -> None:
    """Writes a model into an existing empty folder, with the class that `open_model` shall read it by."""
    model.save(folder)
    kind = type(model)
    (folder / ENGINE).write_text(json.dumps({"model": f"{kind.__module__}:{kind.__qualname__}"}), encoding="utf-8")


def open_model(folder: Path) -> Model:
    """The model that `store_model` wrote.

    Raises ModelStoreError when the folder does not say by which class, or by one outside this project;
    OSError, ValueError or KeyError when a part is missing or cut short.
    """
    path = Path(folder) / ENGINE
    if not path.is_file():
        raise ModelStoreError(f"{folder} holds no {ENGINE}: it is no model folder, or was cut short. Save it again.")
    try:
        named = str(json.loads(path.read_text(encoding="utf-8"))["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelStoreError(f"{path} does not parse ({error}): the model was cut short. Save it again.") from error
    module, _, name = named.partition(":")
    if not module.startswith(ROOTS) or not name.isidentifier():
        roots = ", ".join(ROOTS)
        raise ModelStoreError(
            f"{path} asks for {named!r}; only models of {roots} are opened. Do not trust this folder."
        )
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelStoreError(f"{path} asks for {named!r}, which this version does not have ({error}).") from error
    if not (isinstance(kind, type) and callable(getattr(kind, "load", None))):
        raise ModelStoreError(f"{path} asks for {named!r}, which is no model. Do not trust this folder.")
    loaded: Model = kind.load(Path(folder))  # type: ignore[attr-defined]
    return loaded
