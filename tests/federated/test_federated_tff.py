"""TensorFlow Federated in its Env: equal to TFF's own process, at home as arrays, and gone with the fit."""

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tff_cycles import WAYS, cycle, engines, left
from cluster.connect import Session
from cluster.env import Env
from cluster.wire import Arrays, Facts, archive
from federated.dealt import deal
from federated.dense_model import DenseModel
from federated.federated_tff import FederatedTFF, _arrays
from federated.privacy.levels import SiloLevel
from federated.tff_call import TFFError
from framework.contender import Context
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold
from framework.privacy.accountant import Spend, epsilon_of
from tests.federated.portfolios import fold_of

CONTENDER = FederatedTFF(width=16, layers=1, server="adam", server_rate=0.05, rounds=3, patience=0, epochs=1)
pytestmark = pytest.mark.timeout(900)  # a process takes ten CPU seconds to start TensorFlow
MADE, ROUNDS = 3, 3
Fitted = tuple[Fold, Any, DenseModel]


@pytest.fixture(scope="module")
def fitted(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    fold, X = fold_of()
    fold = fold.pooled()  # nothing to stop by: all rounds count
    before, seen = set(engines()), set[int]()  # those of other tests, in processes that Ray keeps for a while
    context, ended = Context(folder=tmp_path_factory.mktemp("tff")), threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            seen.update(set(engines()) - before)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        model = CONTENDER.fit(fold, context)
    finally:
        ended.set()
        watching.join()
    assert seen
    assert not set(engines()) - before
    return fold, X, model


PLAIN = {"server": "sgd", "server_rate": 1.0}
HIDDEN = {"aggregator": "private", "clip": 0.05}
CASES: dict[str, dict[str, Any]] = {
    "robust, two classes, yogi": {"y": "two", "classes": 2, "outputs": 2, "aggregator": "robust", "server": "yogi"},
    "private, three classes, adam": {"y": "three", "classes": 3, "outputs": 3, **HIDDEN, "noise": 0.0},
    "noisy": {**HIDDEN, **PLAIN, "noise": 1e4},
    "compressed": {"aggregator": "compressed", **PLAIN, "width": 160, "layers": 2},  # an array of 25,600 weights
    "a user's model": {"keras": "tests.federated.keras_models:funnel", **PLAIN},
    "windows, robust": {"X": "windows", "y": "ahead", "outputs": 2, "aggregator": "robust", **PLAIN},
}


@pytest.fixture(scope="module")
def told(fitted: Fitted) -> tuple[Arrays, Facts]:
    """What TFF's own processes say of the same silos, and of made-up ones by every aggregator."""
    import ray

    fold, X, model = fitted
    sources, rng = deal(fold), np.random.default_rng(0)
    parcels = [ray.put(archive(_arrays(model.dense, source))) for source in sources]
    for _ in range(MADE):
        X6 = rng.normal(size=(50, 6)).astype(np.float32)
        score = X6[:, 0] - X6[:, 1] ** 2 + rng.normal(0, 0.1, 50)
        three = np.digitize(score, [-1.0, 0.0]).astype(np.int32)
        windows = rng.normal(size=(50, 5, 4)).astype(np.float32)
        ahead = np.column_stack([windows[:, -1, :2] + windows[:, -2, :2], rng.uniform(0.5, 2.0, 50)])
        ahead[:, :2][rng.random((50, 2)) < 0.1] = np.nan
        answers = {"y": score.astype(np.float32), "two": (three > 1).astype(np.int32), "three": three}
        parts = {"X": X6, **answers, "windows": windows, "ahead": ahead.astype(np.float32)}
        parcels.append(ray.put(archive(parts)))
    settings = CONTENDER.settings(0, 0, CONTENDER._job(fold, 0))
    plain = {**settings, "X": "X", "y": "y", "squared": False}
    source = (Path(__file__).parent / "keras_models.py").read_text().replace("layers.Dropout(0.1), ", "")
    return Env("tff").call(
        "tests.federated.tff_reference:reference",
        {"X": model.dense.matrix(X)},
        parcels,
        settings=settings,
        cases=[{**plain, "source": source, **case, "case": name} for name, case in CASES.items()],
        names=[source.name for source in sources],
        rounds=ROUNDS,
    )


def test_it_is_tffs_own_federated_averaging(fitted: Fitted, told: tuple[Arrays, Facts]) -> None:
    _, X, model = fitted
    home, _ = told
    assert len(model.weights) == 4
    for place, part in enumerate(model.weights):
        assert np.abs(part - home[str(place)]).max() <= 1e-6
    keras = model.dense.rows.target.back(home["told"][:, 0].astype(np.float64))
    assert model.predict(X) == pytest.approx(keras, rel=1e-4)


def test_by_masked_sums_it_is_the_same(fitted: Fitted, tmp_path: Path) -> None:
    fold, X, model = fitted
    hidden = replace(CONTENDER, secure=True).fit(fold, Context(folder=tmp_path))
    assert hidden.rounds == model.rounds > 0
    for part, other in zip(hidden.weights, model.weights, strict=True):
        np.testing.assert_allclose(part, other, rtol=0, atol=1e-4)
    np.testing.assert_allclose(hidden.predict(X), model.predict(X), rtol=0, atol=1e-3 * np.ptp(model.predict(X)))


def test_every_aggregator_and_server_is_tffs_own(told: tuple[Arrays, Facts]) -> None:
    apart, moved = told[1]["apart"], told[1]["moved"]
    assert set(apart) == set(CASES)
    drawn = {name: apart.pop(name) for name in ("compressed", "noisy")}
    assert max(apart.values()) <= 1e-6, apart
    assert min(moved.values()) > 1e-3, moved
    assert 0 < drawn["compressed"] < 0.05 * moved["compressed"]  # it rounds by chance, to one of 256 steps
    spread = 1e4 * 0.05 / MADE * ROUNDS**0.5  # of each weight: noise · clip / silos, in each round
    assert 1.5 * spread < moved["noisy"] < 6 * spread  # the largest of 129


def test_numpy_answers_as_keras_does_or_says_that_it_cannot(told: tuple[Arrays, Facts]) -> None:
    chain = "relu tanh sigmoid softplus swish elu selu relu tanh linear"
    assert set(told[1]["answers apart"]) == {chain, "lstm linear"}
    assert max(told[1]["answers apart"].values()) < 1e-5
    sentences = [
        r"\(Dense, softmax\) is not answered with",
        "ends in relu. End it in Dense without activation",
        r"\(ReLU, relu\) is not answered with",
        r"\(Dense, linear\) is not answered with outside of Keras. Take Dense \(with its bias\)",
        r"\(Reshape\) is not answered with",
        "'models:nothing' is no function. Name one that takes features and outputs",
        "'models:nothing' returned 'int', which is no Keras model",
        r"answers with shape \(None, 2\), and \(None, 1\) is needed",
    ]
    for sentence, said in zip(sentences, told[1]["refused"], strict=True):
        assert re.search(sentence, said)


@pytest.mark.parametrize("way", WAYS[1:])  # `fitted` is one that ended
def test_nothing_of_tff_outlives_a_federation_that_is_ended_otherwise(way: str, ray_session: Session) -> None:
    cycle(fold_of(silos=2)[0], way)
    assert not left(30.0)


def test_its_model_is_kept_and_opened_in_the_base_environment(fitted: Fitted, tmp_path: Path) -> None:
    _, X, model = fitted
    store_model(model, tmp_path)
    opened = open_model(tmp_path)
    np.testing.assert_array_equal(opened.predict(X), model.predict(X))
    one = np.concatenate([model.predict(X.iloc[[row]].reset_index(drop=True)) for row in range(5)])
    assert one == pytest.approx(model.predict(X)[:5], rel=1e-5)
    assert CONTENDER.settled(model) == FederatedTFF(
        width=16, layers=1, server="adam", server_rate=0.05, rounds=3, patience=0, epochs=1
    )


@pytest.fixture(scope="module")
def private(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> tuple[DenseModel, Any, list[str]]:
    """A user's Keras model of two classes, every silo hidden."""
    fold, X = fold_of("dear")
    contender = FederatedTFF(
        keras="tests.federated.keras_models:funnel",
        aggregator="private",
        privacy=SiloLevel(epsilon=50.0, delta=1e-3),
        server="sgd",
        server_rate=1.0,
        rounds=2,
        epochs=1,
    )
    remarks: list[str] = []
    reports: list[int] = []
    context = Context(
        folder=tmp_path_factory.mktemp("private"), teller=remarks.append, sink=lambda step, _: reports.append(step)
    )
    model = contender.fit(fold, context)
    assert not reports  # the validation rows are not looked at
    return model, X, remarks


def test_a_private_federation_tells_its_epsilon_and_a_users_model_answers_at_home(
    private: tuple[DenseModel, Any, list[str]], tmp_path: Path
) -> None:
    model, X, remarks = private
    assert model.plan == ["tanh", "linear"]
    assert model.rounds == 2
    told = model.predict(X)
    assert told.shape == (len(X), 2)
    assert told.sum(axis=1) == pytest.approx(np.ones(len(X)))
    assert model.privacy is not None
    noise, spent = model.privacy["noise"], model.privacy["epsilon"]
    assert spent <= 50.0
    assert spent == pytest.approx(epsilon_of([Spend(noise, steps=2)], 1e-3))
    assert any(f"({spent:.3g}, 0.001)-differential privacy for each silo as a whole" in remark for remark in remarks)
    assert any("5 silos are few to hide one among" in remark for remark in remarks)
    store_model(model, tmp_path)
    opened = open_model(tmp_path)
    np.testing.assert_array_equal(opened.predict(X), told)
    assert opened.promises == model.promises != ()


MISTAKES: dict[str, dict[str, Any]] = {
    "aggregator='median' is none that TFF has here: mean, robust, private, compressed": {"aggregator": "median"},
    "server='lamb' is none that TFF has here: sgd, adam, yogi": {"server": "lamb"},
    "pass both aggregator='private' and privacy": {"aggregator": "private"},
    "aggregator='mean' with privacy=SiloLevel": {"privacy": SiloLevel(epsilon=1.0)},
    "share=0.5: every silo counts": {"aggregator": "private", "privacy": SiloLevel(epsilon=1.0, share=0.5)},
    "aggregator='robust' needs each silo's own update": {"aggregator": "robust", "secure": True},
    "aggregator='compressed' needs each silo's own update": {"aggregator": "compressed", "secure": True},
    "5 silos are too few for ε = 0.5 over 60 rounds": {
        "aggregator": "private",
        "privacy": SiloLevel(epsilon=0.5),
    },
    "keras='nowhere.models:net' is no function of a file": {"keras": "nowhere.models:net"},
    "keras='json' is no function of a file": {"keras": "json"},
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_mistake_is_a_sentence(sentence: str, ray_session: Session, tmp_path: Path) -> None:
    with pytest.raises(TFFError, match=re.escape(sentence)):
        FederatedTFF(**MISTAKES[sentence]).fit(fold_of()[0], Context(folder=tmp_path))


def test_a_model_that_is_not_answered_at_home_is_a_sentence(ray_session: Session, tmp_path: Path) -> None:
    contender = replace(CONTENDER, keras="tests.federated.keras_models:normed")
    with pytest.raises(TFFError, match=r"models:normed.*BatchNormalization\) is not answered with outside of Keras"):
        contender.fit(fold_of()[0], Context(folder=tmp_path))
