import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray

from cluster.build import LOCKS, Blueprint, BuildError, blueprint, build, names

ROOT = Path(__file__).parents[2]
TINY = "packaging==26.3\nclick==8.5.1\n"
BUILD = """
import sys
from cluster.build import Blueprint, build
print(build(Blueprint("tiny", sys.argv[2], sys.argv[1])))
"""
STUCK = """
import sys, time
from cluster import build
uv = build._uv
build._uv = lambda *asked: (uv(*asked), time.sleep(600))  # its interpreter, and no packages
build.build(build.Blueprint("tiny", sys.argv[2], sys.argv[1]))
"""


def tiny(folder: Path) -> Blueprint:
    return Blueprint("tiny", TINY, str(folder / "envs" / "tiny-1"))


def start(made: Blueprint, code: str = BUILD) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, made.home, made.lock], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def versions(made: Blueprint) -> str:
    code = "import click, packaging; print(packaging.__version__)"
    return subprocess.run([made.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def left_over(made: Blueprint) -> list[Path]:
    return [path for path in Path(made.home).parent.iterdir() if path.name.endswith(".part")]


def test_an_env_is_built_once_with_bytecode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = tiny(tmp_path)
    assert not made.complete
    with caplog.at_level(logging.INFO):
        assert build(made) > 0
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["env tiny", "env tiny"]
    assert made.complete
    assert versions(made) == "26.3"
    packages = Path(made.home) / "lib" / "python3.11" / "site-packages"
    assert list((packages / "packaging" / "__pycache__").glob("*.pyc"))
    assert build(made) == 0.0
    assert not left_over(made)


def test_processes_that_want_it_at_once_build_it_once(tmp_path: Path) -> None:
    made = tiny(tmp_path)
    running = [start(made) for _ in range(3)]
    seconds = [float(process.communicate(timeout=280)[0]) for process in running]
    assert sum(value > 0 for value in seconds) == 1
    inode = Path(made.home).stat().st_ino
    assert build(made) == 0.0
    assert Path(made.home).stat().st_ino == inode
    assert versions(made) == "26.3"
    assert not left_over(made)


def test_what_an_interrupted_build_left_is_built_anew(tmp_path: Path) -> None:
    made = tiny(tmp_path)
    process = start(made, STUCK)
    until = time.time() + 240
    while not left_over(made) if Path(made.home).parent.exists() else True:
        assert time.time() < until
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not made.complete
    assert build(made) > 0
    assert versions(made) == "26.3"
    assert not left_over(made)


def test_a_folder_without_its_stamp_is_built_anew(tmp_path: Path) -> None:
    made = tiny(tmp_path)
    (Path(made.home) / "bin").mkdir(parents=True)
    (Path(made.home) / "bin" / "python").symlink_to(sys.executable)
    assert build(made) > 0
    assert versions(made) == "26.3"


def test_what_uv_says_is_told(tmp_path: Path) -> None:
    made = Blueprint("tiny", "packaging==0.0.1\n", str(tmp_path / "tiny-2"))
    with pytest.raises(BuildError, match=r"Env 'tiny' cannot be built.*packaging"):
        build(made)
    assert not Path(made.home).exists()
    assert not left_over(made)


def test_without_uv_it_says_so(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, str(bare)], check=True)
    code = "from cluster.build import uv, BuildError\ntry: uv()\nexcept BuildError as error: print(error)"
    surroundings = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [str(bare / "bin" / "python"), "-c", code], env=surroundings, capture_output=True, text=True, check=True
    )
    assert "pip install uv" in told.stdout


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BuildError, match="CONTENDERS_ENVS"):
        build(Blueprint("tiny", TINY, str(tmp_path / "file" / "tiny-1")))


def test_an_unknown_env_is_told_with_those_there_are() -> None:
    with pytest.raises(BuildError, match=r"'xgboost-ray'.*xgboost_ray"):
        blueprint("xgboost-ray")


def test_another_lock_is_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, lock in (("one", "a==1\n"), ("two", "a==2\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "requirements.lock").write_text(lock, encoding="utf-8")
    monkeypatch.setattr("cluster.build.LOCKS", tmp_path)
    monkeypatch.setenv("CONTENDERS_ENVS", str(tmp_path / "envs"))
    one = blueprint("one")
    assert Path(one.home).parent == tmp_path / "envs"
    (tmp_path / "one" / "requirements.lock").write_text("a==2\n", encoding="utf-8")
    assert blueprint("one").home != one.home
    assert names() == ["one", "two"]


@pytest.mark.parametrize("name", names())
def test_every_lock_holds_the_clusters_own_ray_and_no_address(name: str) -> None:
    lines = blueprint(name).lock.splitlines()
    assert f"ray=={ray.__version__}" in lines
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    asked = (LOCKS / name / "requirements.in").read_text(encoding="utf-8")
    assert f"=={ray.__version__}" in asked


def test_there_are_envs() -> None:
    assert "xgboost_ray" in names()
