"""Synthetic rows served from one shell, asked over HTTP, and taken down from a second one."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.ports import free_ports
from framework.recipe import command
from recipes.serve_synthetic import main
from synthetic.data_card import DataCard
from synthetic.registered import register_kept
from tests.synthetic.tables import fitted

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a user who serves nothing yet."""
    for name in ("RAY_ADDRESS", "FRAMEWORK_SERVE_TOKEN", "FRAMEWORK_SERVE_TOKENS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds").mkdir()
    fitted("copula").save(tmp_path / "birds")
    return dict(os.environ)


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`recipes.serve_synthetic` of a registered synthesizer in the foreground, and the address that it told."""
    (port,) = free_ports(1)
    names = fitted("copula").table.names
    DataCard("copula", "", "birds.csv", 344, names, 0, None, None, (), "", True, (), (), ()).write(
        Path("birds"), "wild"
    )
    register_kept("birds", "wild")
    asked = [sys.executable, "-m", "recipes.serve_synthetic", "--models", "models:/wild@champion", "--port", str(port)]
    process = subprocess.Popen(asked, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    told = next((line for line in process.stdout if "are served at" in line), "")
    assert told, process.stderr.read() if process.stderr else ""
    yield process, told.split()[-1]
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=240)


def test_rows_are_served_until_they_are_taken_down(
    server: tuple[subprocess.Popen[str], str], environment: dict[str, str]
) -> None:
    process, url = server
    assert url.endswith("/api/v1/data/synthetic")
    asked = urllib.request.Request(url, json.dumps({"n": 2_500, "seed": 3}).encode())
    with urllib.request.urlopen(asked, timeout=240) as answer:
        body = answer.read()
    rows = [json.loads(line) for line in body.splitlines()]
    assert len(rows) == 2_500
    assert set(rows[0]) == set(fitted("copula").table.names)
    with urllib.request.urlopen(url, timeout=240) as answer:
        assert list(json.load(answer)["models"]) == ["wild"]
    with urllib.request.urlopen(asked, timeout=240) as answer:
        assert answer.read() == body
    ended = [sys.executable, "-m", "recipes.unserve", "synthetic"]
    told = subprocess.run(ended, env=environment, capture_output=True, text=True, timeout=200)
    assert (told.returncode, told.stdout) == (0, "synthetic is no longer served\n"), told.stderr
    process.communicate(timeout=240)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--models", "models:/voles@champion"], "has no model 'voles'. It is empty"),
        (["--models", "voles"], "holds no synthesizer.json: it is no synthesizer"),
        (["--models", "birds", "birds"], "two synthesizers are called 'birds'. Rename one of them."),
        (["--models", "birds", "--most-rows", "0"], "most_rows=0"),
        (["--models", "birds", "--host", "0.0.0.0"], "set FRAMEWORK_SERVE_TOKEN to a secret"),
    ],
)
def test_a_mistake_is_a_sentence_and_nothing_is_started(
    asked: list[str], told: str, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, asked) == 2
    assert told in capsys.readouterr().err
