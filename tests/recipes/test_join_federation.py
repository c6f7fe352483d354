"""A federation by its command lines: certificates, a coordinator and two silos; and the mistakes of who starts them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from federated.deployment.register import RegisterError
from framework.predictor import Predictor
from framework.recipe import command
from recipes import hold_federation, join_federation, new_certificate
from tests.federated.portfolios import rents

ROOT = Path(__file__).parents[2]
NAMES = ("north", "south")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everybody's files, which in earnest lie on machines of their own."""
    folder = tmp_path_factory.mktemp("federation")
    for name in (*NAMES, "stranger"):
        assert command(new_certificate.main, ["--name", name, "--folder", str(folder)]) == 0
    hosts = ["--hosts", "127.0.0.1", "localhost"]
    assert command(new_certificate.main, ["--name", "coordinator", "--folder", str(folder), *hosts]) == 0
    (folder / "silos.json").write_text(json.dumps({name: f"{name}.pem" for name in NAMES}))
    for name, (_, rows) in zip(NAMES, rents(silos=2).groupby("owner"), strict=True):
        rows.drop(columns=["rent", "owner"]).to_csv(folder / f"{name}.csv", index=False)
    return folder


def join_flags(home: Path, port: int, name: str, **given: object) -> list[str]:
    flags = {
        "coordinator": f"localhost:{port}",
        "name": name,
        "data": home / f"{name}.csv",
        "target": "dear",
        "certificate": home / f"{name}.pem",
        "key": home / f"{name}.key",
        "trusted": home / "coordinator.pem",
        "folder": home / "silos",
        "patience": 240,
        **given,
    }
    words = [(f"--{flag}",) if value is True else (f"--{flag}", value) for flag, value in flags.items()]
    return [str(word) for pair in words for word in pair]


def test_a_model_is_learned_from_silos_that_join_by_their_command_lines(home: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = {
        "listen": "127.0.0.1:0",
        "silos": "silos.json",
        "target": "dear",
        "certificate": "coordinator.pem",
        "key": "coordinator.key",
        "rounds": "1",
        "silo": "portfolio",
        "out": str(tmp_path),
    }
    flags = [word for flag, value in words.items() for word in (f"--{flag}", value)]
    begun = [sys.executable, "-m"]
    with subprocess.Popen(
        [*begun, "recipes.hold_federation", *flags], cwd=home, env=environment, stdout=subprocess.PIPE, text=True
    ) as holding:
        assert holding.stdout is not None
        port = int(re.findall(r"^port (\d+): waiting for north, south$", holding.stdout.readline())[0])
        wrong = join_flags(home, port, "north", certificate=home / "stranger.pem", key=home / "stranger.key")
        assert command(join_federation.main, wrong) == 2
        assert command(join_federation.main, join_flags(home, port, "south", certificate=home / "north.pem")) == 2
        silos = [
            subprocess.Popen(
                [*begun, "recipes.join_federation", *join_flags(home, port, name)], env=environment, text=True
            )
            for name in NAMES
        ]
        assert [silo.wait(200) for silo in silos] == [0, 0]
        told = holding.communicate(timeout=240)[0]
    assert holding.returncode == 0
    assert "2 silos learn 'dear' (binary) from 4 columns" in told
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rows"] == {"north": 48, "south": 48}
    assert report["happenings"] == []
    assert report["columns"] == {"age": "number", "heated": "boolean", "kind": "category", "size": "number"}
    flats = rents(silos=1).drop(columns=["rent", "dear", "owner"]).assign(portfolio="elsewhere")
    answers, _ = Predictor.open(tmp_path / "model").predict(flats)
    assert set(answers["prediction"]) <= {"no", "yes"}
    assert {"proba_no", "proba_yes"} <= set(answers)


MISTAKES = {
    "--secure needs --silos": {"secure": True},
    "no column 'price'": {"target": "price"},
    "no coordinator at localhost:1 for 0 s": {"coordinator": "localhost:1", "patience": 0},
    "cannot be used as a certificate and its key": {"key": "stranger.key"},
    "no self-signed certificate": {"trusted": "north.key"},
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_who_starts_a_silo_wrongly_is_told_so(home: Path, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        flag: home / str(value) if flag in ("key", "trusted") else value for flag, value in MISTAKES[sentence].items()
    }
    assert command(join_federation.main, join_flags(home, 1, "north", **given)) == 2
    assert re.fullmatch(f"error: .*{re.escape(sentence)}.*\n", capsys.readouterr().err)


def test_who_holds_a_federation_of_nobody_is_told_so(home: Path) -> None:
    config = hold_federation.Config("127.0.0.1:0", str(home / "nobody.json"), "dear", "", "")
    with pytest.raises(RegisterError, match=r"nobody\.json cannot be read"):
        hold_federation.main(config)
