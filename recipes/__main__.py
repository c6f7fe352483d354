"""Lists the recipes: `python -m recipes`."""

import ast
import pkgutil
from pathlib import Path

FOLDER = Path(__file__).parent


def listing() -> dict[str, str]:
    """Each recipe with the first line of its docstring, read without importing it."""
    names = sorted(m.name for m in pkgutil.iter_modules([str(FOLDER)]) if not m.name.startswith("_"))
    return {name: _question(FOLDER / f"{name}.py") for name in names}


def _question(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


if __name__ == "__main__":
    for name, question in listing().items():
        print(f"python -m recipes.{name:<12} {question}")
