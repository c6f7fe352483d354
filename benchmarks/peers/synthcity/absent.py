"""Stands in for torchvision, which synthcity imports for images alone: no published build fits torch's CPU build."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar


class Absent(ModuleType):
    """A module in which every name is an empty class."""

    __path__: ClassVar[list[str]] = []
    __all__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Finder:
    """Finds torchvision and all that is said to be in it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
