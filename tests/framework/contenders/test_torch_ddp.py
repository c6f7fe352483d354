"""One net, trained in this process, by one Ray Train worker or by several: the same net."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import roc_auc_score

from cluster.connect import Session
from cluster.resources import Resources
from framework.contender import Context
from framework.contenders.store import open_model, store_model
from framework.contenders.torch_ddp import NetModel, TorchDDP
from framework.data.frame import Fold, Frame
from framework.data.load import load
from framework.engines import engine
from framework.nets import TABLE_NETS
from framework.training.failure import TrainingError

EXACT = TorchDDP(
    net="ft_transformer",
    shape=(("width", 16), ("blocks", 1), ("heads", 2), ("dropout", 0.0), ("attention_dropout", 0.0)),
    batch=64,
    looks=4,
    patience=0,
)


SMALL = {
    "ft_transformer": (("width", 16), ("blocks", 1), ("heads", 2)),
    "mlp": (("width", 32), ("layers", 2)),
    "tabm": (("width", 32), ("members", 4)),
}


@cache
def tumours() -> tuple[Fold, Frame]:
    split = load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary")
    return split.fold, split.test


@pytest.mark.timeout(900)
def test_ranks_come_and_go_and_the_net_is_the_same(ray_session: Session, tmp_path: Path) -> None:
    fold, test = tumours()
    heard: list[int] = []
    context = Context(folder=tmp_path, checkpoints=str(tmp_path / "kept"), sink=lambda look, told: heard.append(look))
    bare = EXACT.fit(fold, Context())
    begun = replace(EXACT, looks=2).fit(fold, context)
    assert np.allclose(begun.predict(test.X), replace(EXACT, looks=2).fit(fold, Context()).predict(test.X), atol=1e-6)
    gone_on = replace(EXACT, workers=2).fit(fold, context)
    assert heard == [1, 2, 3, 4]
    assert np.allclose(gone_on.predict(test.X), bare.predict(test.X), atol=1e-5)


@pytest.mark.parametrize("net", TABLE_NETS)
def test_each_net_learns_and_answers_the_same_from_its_folder(net: str, tmp_path: Path) -> None:
    fold, test = tumours()
    model = TorchDDP(net=net, looks=12, batch=32, learning_rate=0.003, shape=SMALL[net]).fit(fold, Context())
    told = model.predict(test.X)
    assert roc_auc_score(test.y, told[:, 1]) > 0.97
    store_model(model, tmp_path)
    opened = open_model(tmp_path)
    assert isinstance(opened, NetModel)
    assert np.array_equal(opened.predict(test.X), told)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"weights.safetensors does not open"):
        open_model(tmp_path)


def test_rows_in_files_are_streamed_to_the_same_quality() -> None:
    split = load(load_diabetes(as_frame=True).frame, target="target", kind="regression")
    asked = TorchDDP(net="mlp", looks=30, batch=32)
    scores = []
    for fold in (split.fold, replace(split.fold, shards=split.fold.train)):
        told = asked.fit(fold, Context()).predict(split.test.X)
        scores.append(np.sqrt(np.mean((told - split.test.y) ** 2)))
    constant = np.sqrt(np.mean((split.fold.train.y.mean() - split.test.y) ** 2))
    assert max(scores) < 0.85 * constant
    assert scores[0] == pytest.approx(scores[1], rel=0.1)


def test_what_it_asks_of_ray() -> None:
    assert TorchDDP(cpus=2.0).resources == Resources(cpus=2.0)
    assert TorchDDP(workers=3, gpus=1.0).resources == Resources(cpus=1.0, gpus=1.0, workers=3, apart=True)
    assert TorchDDP(workers=3).resources.options() == {"num_cpus": 0}


@pytest.mark.parametrize("name", ["torch_ddp", "horovod"])
def test_an_engine_conducts_a_single_worker_without_a_cpu_of_its_own(name: str) -> None:
    asked = engine(name, workers=1, cpus=1.0)
    assert asked.resources == Resources(cpus=1.0, workers=1, apart=True)
    assert asked.resources.options() == {"num_cpus": 0}


def test_one_worker_alone_goes_on_from_its_checkpoints(tmp_path: Path) -> None:
    fold, test = tumours()
    heard: list[int] = []
    told: list[str] = []
    context = Context(
        folder=tmp_path,
        checkpoints=str(tmp_path / "kept"),
        sink=lambda look, _: heard.append(look),
        teller=told.append,
    )
    replace(EXACT, looks=2, checkpoint_steps=3).fit(fold, context)
    newest = max((tmp_path / "kept").rglob("state.pt"))
    newest.write_bytes(newest.read_bytes()[:-8])
    gone_on = EXACT.fit(fold, context)
    assert any("is passed over" in remark for remark in told)
    assert heard[-1] == 4
    assert np.allclose(gone_on.predict(test.X), EXACT.fit(fold, Context()).predict(test.X), atol=1e-6)
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(TrainingError, match="taken"):
        EXACT.fit(fold, replace(context, checkpoints=str(tmp_path / "taken")))


def test_the_looks_that_stopping_found_are_taken_over() -> None:
    fold, _ = tumours()
    asked = TorchDDP(net="mlp", looks=30, patience=1, learning_rate=0.01)
    model = asked.fit(fold, Context())
    assert 0 < model.looks < 30
    assert asked.settled(model) == replace(asked, looks=model.looks, patience=0)
