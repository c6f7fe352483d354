"""The README's code runs as it stands, and its commands and files are there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from cluster.connect import Session
from framework.recipe import parse

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


def test_the_recipes_it_names_exist_with_the_flags_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in blocks("") for line in block.splitlines() if "-m recipes." in line]
    assert len(lines) >= 4
    for line in lines:
        name = re.search(r"recipes\.(\w+)", line)[1]  # type: ignore[index]
        with pytest.raises(SystemExit) as ended:
            parse(import_module(f"recipes.{name}").main, ["--help"])
        assert not ended.value.code
        told, ours = capsys.readouterr().out, line.split(f"recipes.{name}")[1]
        assert all(flag in told for flag in re.findall(r"--[\w-]+", ours)), line


def test_the_make_targets_and_files_it_names_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    assert set(re.findall(r"make (\w+)", README)) <= targets
    files = set(re.findall(r"`((?:framework|cluster|notebooks)/[\w/.]+)`", README))
    assert len(files) > 5
    assert all((ROOT / file).exists() for file in files)


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 160
