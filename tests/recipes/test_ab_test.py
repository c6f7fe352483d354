"""The recipe that holds an A/B test: who won, when, and how many rows a test read once would have needed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.ports import free_ports
from framework import load
from framework.contender import Context
from framework.contenders import Constant, Linear
from framework.predictor import Predictor
from framework.recipe import command
from framework.registry import history, register, versions
from framework.statistics.power import size_for_means
from recipes.ab_test import SMOKE, main
from tests.boards import tumours

KNOWN = 169
NAME = "tumours"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose registry holds a poor champion, a good challenger and the challenger again, and fresh rows."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/registry.db")
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        for name in ("RAY_ADDRESS", "FRAMEWORK_SERVE_TOKEN"):
            patch.delenv(name, raising=False)
        table = tumours()
        split = load(table.iloc[:KNOWN], target="target", name=NAME, kind="binary")
        for contender, alias in ((Constant(), "champion"), (Linear(), "challenger"), (Linear(), "")):
            model = contender.fit(split.fold, Context(folder=folder))
            register(Predictor(NAME, split.problem, split.schema, model), NAME, alias=alias)
        table.iloc[KNOWN:].assign(clinic=range(400)).assign(clinic=lambda t: t["clinic"] % 40).to_csv("fresh.csv")
        yield folder


def report(out: str) -> dict:
    return json.loads((Path(out) / "report.json").read_text())


def test_the_better_version_wins_before_the_rows_are_used_up(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--name", NAME, "--data", "fresh.csv", "--every", "20", "--simulate", "--out", "won"]
    assert command(main, asked) == 0
    told = capsys.readouterr().out
    assert f"{NAME}: version 2 beats version 1 after " in told
    assert "a test that is read once needs " in told
    kept = report("won")
    assert (kept["winner"], kept["metric"], kept["decided"]) == ("2", "log_loss", True)
    assert kept["rows"] < 400
    assert kept["readings"][-1]["rows"] == kept["rows"] == sum(kept["rows_by_version"].values())
    assert kept["readings"][-1]["interval"][1] < 0
    assert min(kept["rows_by_version"].values()) > 0.3 * kept["rows"]
    assert 0 < kept["fixed_rows"] < kept["rows"]
    assert (home / "won" / "ab_test.png").stat().st_size > 5_000
    assert [each.alias for each in versions(NAME)] == ["", "challenger", "champion"]


def test_the_same_model_twice_wins_nothing_and_a_key_sticks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--name", NAME, "--data", "fresh.csv", "--champion", "2", "--challenger", "3", "--key", "clinic"]
    assert command(main, [*asked, "--simulate", "--every", "200", "--weight", "30", "--out", "even"]) == 0
    assert "400 outcomes tell no difference between versions 2 and 3" in capsys.readouterr().out
    kept = report("even")
    assert (kept["winner"], kept["decided"], kept["rows"]) == (None, False, 400)
    assert all(count % 10 == 0 for count in kept["rows_by_version"].values())  # of whole clinics
    expected = size_for_means(kept["effect"], 1.0, ratio=3 / 7)
    assert (kept["fixed_rows"] > 0) == (expected.control > 0)


def test_over_a_server_it_is_promoted_where_that_is_asked_for(home: Path) -> None:
    (port,) = free_ports(1)
    asked = ["--name", NAME, "--data", "fresh.csv", "--every", "40", "--promote", "--port", str(port), "--out", "live"]
    assert command(main, asked) == 0
    kept = report("live")
    assert (kept["winner"], kept["decided"]) == ("2", True)
    assert "version 2 of 'tumours' is its champion now, it was version 1" in kept["settled"]
    assert history(NAME).changes[-1].act == "promoted"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "nobody"], "no model 'nobody'"),
        (["--name", NAME, "--challenger", "9"], "no version 9"),
        (["--name", NAME, "--challenger", "1"], "named twice"),
        (["--name", NAME, "--weight", "100"], "weight is 100"),
        (["--name", NAME, "--key", "tenant"], "no column 'tenant'"),
        (["--name", NAME, "--effect", "-1"], "effect is -1"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    asked = ["--data", "fresh.csv", "--simulate", "--champion", "1", "--challenger", "2"]
    assert command(main, [*asked, *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert said in told


def test_the_smoke_configuration_is_short() -> None:
    assert SMOKE.simulate
    assert SMOKE.rows <= 200
