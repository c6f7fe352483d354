"""What every recipe promises: a question, a Config, a SMOKE and a main; a line in the list."""

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from recipes.__main__ import listing

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def test_the_list_names_every_recipe_by_its_question() -> None:
    assert "contest" in RECIPES
    assert sorted(listing()) == RECIPES
    assert all(question.endswith("?") or "?" in question for question in listing().values())


def test_the_module_prints_the_list() -> None:
    told = subprocess.run([sys.executable, "-m", "recipes"], capture_output=True, text=True, check=True).stdout
    assert all(f"recipes.{name}" in told for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_its_parts_and_nothing_else(name: str) -> None:
    module = importlib.import_module(f"recipes.{name}")
    defined = {key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    assert {"Config", "main"} <= defined <= {"Config", "main", "SMOKE"}
    assert isinstance(module.SMOKE, module.Config)
    fields = {field.name for field in dataclasses.fields(module.Config)}
    assert {"out", "seed"} <= fields
    assert [hint for key, hint in get_type_hints(module.main).items() if key != "return"] == [module.Config]
    with pytest.raises(dataclasses.FrozenInstanceError):
        module.SMOKE.seed = 1
