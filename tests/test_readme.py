"""The README's code runs as it stands, and its commands and files are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.connect import Session

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.S | re.M)
    return [block for spoken, block in fenced if spoken == language]


def test_the_python_runs_from_top_to_bottom(ray_session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(blocks("python")) == 2
    names: dict[str, object] = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    told = capsys.readouterr().out
    assert told.count("winner:") == 2
    assert "naive_bayes" in told
    assert "failed" not in told


def test_the_recipes_it_names_exist_with_the_flags_it_shows() -> None:
    lines = [line for block in blocks("") for line in block.splitlines() if "-m recipes." in line]
    assert len(lines) >= 4
    for line in lines:
        name = re.search(r"recipes\.(\w+)", line)[1]  # type: ignore[index]
        told = subprocess.run(
            [sys.executable, "-m", f"recipes.{name}", "--help"], cwd=ROOT, capture_output=True, text=True
        )
        assert told.returncode == 0
        ours = line.split(f"recipes.{name}")[1]
        assert all(flag in told.stdout for flag in re.findall(r"--[\w-]+", ours)), line


def test_the_make_targets_and_files_it_names_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    assert set(re.findall(r"make (\w+)", README)) <= targets
    files = set(re.findall(r"`((?:framework|cluster|notebooks)/[\w/.]+)`", README))
    assert len(files) > 5
    assert all((ROOT / file).exists() for file in files)


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 160
