"""What `pip install` of this project brings: all of it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("cluster", "federated", "framework", "recipes", "synthetic")
DATA = ("cluster/envs/*/*", "framework/serving/page/assets/*", "framework/serving/page/templates/*")


def test_a_wheel_holds_every_module_and_what_modules_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    uv = Path(sys.executable).with_name("uv")
    built = subprocess.run(
        [uv, "build", "-q", "--wheel", "--out-dir", tmp_path, source], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    held = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    wanted = [
        path for name in PACKAGES for path in (ROOT / name).rglob("*.py") if (path.parent / "__init__.py").exists()
    ]
    wanted += [path for pattern in DATA for path in ROOT.glob(pattern) if path.is_file()]
    assert not {str(path.relative_to(ROOT)) for path in wanted} - held
