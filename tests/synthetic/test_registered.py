"""Synthesizers in a real registry: found again by name, version and alias; their card tells what they are."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cluster.ports import free_ports
from framework.contenders import Constant
from framework.registry import RegistryError, history, register, resolve, rollback, versions
from framework.tracking import client
from synthetic.copula import Copula
from synthetic.data_card import FILE, DataCard
from synthetic.fidelity import judge
from synthetic.fitted import Fitted, SynthesizerStoreError
from synthetic.private.mst import MST
from synthetic.registered import PAGE, check_free, enroll, open_synthesizer, register_kept
from synthetic.service.serving import ServiceError, serve_rows
from tests.boards import board, tumours
from tests.synthetic.tables import penguins


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SQLite store, the one in use while this module's tests run."""
    home = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/registry.db")
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        yield home


@pytest.fixture(scope="module")
def made() -> tuple[Fitted, DataCard]:
    return _made(Copula())


def _made(engine: Copula | MST, *columns: str) -> tuple[Fitted, DataCard]:
    table = penguins()[list(columns)] if columns else penguins()
    train, holdout = table.iloc[:270], table.iloc[270:].reset_index(drop=True)
    fitted = engine.fit(train)
    judged = judge(train, holdout, fitted.sample(270, seed=1), fitted=fitted, target="species")
    return fitted, DataCard.of(fitted, judged, table, source="postgresql://me:secret@host/birds", contestants=("one",))


def test_what_is_registered_is_found_by_version_and_alias(
    store: Path, tmp_path: Path, made: tuple[Fitted, DataCard]
) -> None:
    fitted, card = made
    (tmp_path / PAGE).write_text("<p>scores</p>")
    for version in (1, 2):
        assert enroll(*made, "birds", tmp_path / "kept", report=tmp_path / PAGE).uri == f"models:/birds/{version}"
    assert not (tmp_path / "kept").exists()
    wanted = fitted.sample(50, seed=3)
    for address in ("models:/birds/1", "models:/birds/2", "models:/birds@champion"):
        pd.testing.assert_frame_equal(open_synthesizer(address).sample(50, seed=3), wanted)
    newest, oldest = versions("birds")
    assert (newest.alias, oldest.alias) == ("champion", "")
    assert {"synthesizer.json", FILE, PAGE, "card.html", "card.md", "card.json"} <= set(os.listdir(newest.folder))
    assert not [path for path in newest.folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt")]
    assert DataCard.from_json(json.loads((newest.folder / FILE).read_text())).lead == card.lead
    rollback("birds")
    assert "rolled back" in str(history("birds"))
    assert versions("birds")[1].alias == "champion"


def test_the_version_is_told_by_its_tags_and_the_run_by_its_scores(
    store: Path, tmp_path: Path, made: tuple[Fitted, DataCard]
) -> None:
    card = made[1]
    enroll(*made, "told", tmp_path / "kept")
    version = client().get_model_version("told", "1")
    wanted = {"holds": "synthesizer", "engine": "copula", "seed": "0", "rows": "270", "passed": str(card.passed)}
    assert wanted.items() <= version.tags.items()
    assert version.tags["data_digest"] == card.fingerprint
    assert version.description == card.lead
    scores = client().get_run(version.run_id).data.metrics
    assert card.scores is not None
    quality = next(score["value"] for score in card.scores if score["name"] == "quality")
    assert scores["quality"] == pytest.approx(quality)
    assert {"TSTR to TRTR", "C2ST AUC", "alpha-precision"} <= set(scores)
    assert "secret" not in json.dumps(card.source)


def test_the_fingerprint_is_of_the_rows_in_any_order(made: tuple[Fitted, DataCard]) -> None:
    fitted, card = made
    table = penguins()
    judged = judge(table.iloc[:270], table.iloc[270:].reset_index(drop=True), fitted.sample(270), target="species")
    turned = DataCard.of(fitted, judged, table.iloc[::-1], source="")
    fewer = DataCard.of(fitted, judged, table.iloc[1:], source="")
    assert turned.fingerprint == card.fingerprint
    assert fewer.fingerprint != card.fingerprint


def test_a_privately_learned_one_is_registered_without_what_its_promise_does_not_cover(
    store: Path, tmp_path: Path
) -> None:
    fitted, card = _made(MST(epsilon=8.0), "species", "island", "heavy")
    (tmp_path / PAGE).write_text("<p>scores</p>")
    enroll(fitted, card, "private", tmp_path / "kept", report=tmp_path / PAGE)
    folder = versions("private")[0].folder
    told = json.loads((folder / FILE).read_text())
    assert (told["epsilon"], told["delta"]) == (8.0, 1e-5)
    assert [told[key] for key in ("scores", "fingerprint", "passed", "seed")] == [None] * 4
    assert not (folder / PAGE).exists()
    assert "ε = 8" in (folder / "card.html").read_text()
    assert "data_digest" not in client().get_model_version("private", "1").tags


def test_one_name_stands_for_one_kind(store: Path, tmp_path: Path, made: tuple[Fitted, DataCard]) -> None:
    predictor = board(tumours().iloc[:200], Constant(), target="target", name="tumours", kind="binary")
    register(predictor, "tumours")
    with pytest.raises(RegistryError, match="'tumours' is the name of a predictor in this registry"):
        check_free("tumours")
    told = enroll(*made, "tumours", tmp_path / "kept")
    assert "'tumours' is the name of a predictor" in told.trouble
    assert Fitted.load(tmp_path / "kept").table.names == made[0].table.names
    enroll(*made, "rows", tmp_path / "unused")
    with pytest.raises(RegistryError, match="'rows' is the name of a synthesizer in this registry"):
        register(predictor, "rows")
    with pytest.raises(RegistryError, match="version 1 of 'rows' is a synthesizer; a predictor is asked for"):
        resolve("models:/rows@champion")
    with pytest.raises(RegistryError, match="version 1 of 'tumours' is a predictor; a synthesizer is asked for"):
        open_synthesizer("models:/tumours/1")


def test_where_nothing_answers_all_is_kept_and_can_be_registered_later(
    store: Path, tmp_path: Path, made: tuple[Fitted, DataCard], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_ports(1)[0]}")
        check_free("later")
        assert "nothing answers at http://127.0.0.1" in caplog.text
        told = enroll(*made, "later", tmp_path / "kept")
    assert told.uri == ""
    assert "nothing answers at" in str(told)
    assert f"are kept in {tmp_path / 'kept'}" in str(told)
    assert register_kept(tmp_path / "kept", "later").uri == "models:/later/1"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_without_a_card_or_a_synthesizer_is_refused(
    store: Path, tmp_path: Path, made: tuple[Fitted, DataCard]
) -> None:
    with pytest.raises(SynthesizerStoreError, match=f"holds no {FILE}"):
        register_kept(tmp_path, "empty")
    made[1].write(tmp_path, "empty")
    with pytest.raises(RegistryError, match=r"holds no synthesizer\.json: it is no synthesizer"):
        register_kept(tmp_path, "empty")
    with pytest.raises(RegistryError, match="cannot be a model's name"):
        check_free("a/b")


def test_a_registered_one_is_served_by_its_name_from_the_version_that_an_alias_means(
    store: Path, tmp_path: Path, made: tuple[Fitted, DataCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    enroll(*made, "served", tmp_path / "kept")
    asked: list[Any] = []
    monkeypatch.setattr("synthetic.service.serving.serve_data", lambda *given, **_: asked.append(given) or "url")
    assert serve_rows(["models:/served@champion"]) == "url"
    assert asked[0][2]["models"] == {"served": str(versions("served")[0].folder.resolve())}
    with pytest.raises(ServiceError, match="two synthesizers are called 'served'"):
        serve_rows(["models:/served@champion", "models:/served/1"])
