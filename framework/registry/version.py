"""A model's name in the registry, its versions, and how both are written."""

from dataclasses import dataclass
from pathlib import Path

from cluster.user_error import UserError

CHAMPION, CHALLENGER, ARCHIVED = "champion", "challenger", "archived"
ALIASES = (CHAMPION, CHALLENGER, ARCHIVED)
SEMANTIC = "semantic_version"  # the tag of a version


class RegistryError(UserError):
    """A name, version or alias that the registry does not have, or a change that it does not make."""


@dataclass(frozen=True)
class ModelVersion:
    """A winner in the registry. uri: pins this version, whatever the alias points to later.

    folder: the model folder, where it lies on this machine; its model card is `card.html` in it.
    semantic: what it is to the champion before it, such as 1.2.0; "" for one registered without.
    """

    name: str
    version: int
    alias: str
    uri: str
    run_id: str
    folder: Path
    semantic: str = ""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" + (f", {self.alias}" if self.alias else "")


def check_name(name: str) -> str:
    """The name, where MLflow takes it as a model's. Raises RegistryError where it does not."""
    if not name.strip() or any(letter in name for letter in "/:%\"'"):
        raise RegistryError(
            f"{name!r} cannot be a model's name: MLflow takes no '/', ':', '%' or quotes. Pass another."
        )
    return name


def parts(uri: str) -> tuple[str, str, str]:
    """name, version and alias of a models:/ address; one of the last two is empty."""
    rest = uri.removeprefix("models:/").strip("/")
    name, at, alias = rest.rpartition("@")
    if at and name and alias:
        return name, "", alias
    name, slash, version = rest.rpartition("/")
    if slash and name and version.isdigit():
        return name, version, ""
    raise RegistryError(f"{uri!r} is no model's address. Write models:/NAME@champion or models:/NAME/3.")
