"""TensorFlow Federated in its Env: equal to TFF's own process, at home as arrays, and gone with the fit."""

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from cluster.connect import Session
from cluster.env import Env
from cluster.wire import archive
from federated.dealt import deal
from federated.dense_model import DenseModel
from federated.federated_tff import FederatedTFF, _arrays
from framework.contender import Context
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold
from tests.federated.portfolios import fold_of

CONTENDER = FederatedTFF(width=16, layers=1, server="adam", server_rate=0.05, rounds=3, patience=0, epochs=1)
Fitted = tuple[Fold, Any, DenseModel]


def tensorflow() -> list[int]:
    """Processes of this session's Ray that hold TFF's engine."""
    from ray._private import worker

    session = worker._global_node.get_session_dir_path()
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "worker_binary" and process.status() != psutil.STATUS_ZOMBIE:
                found += [process.pid] if any(session in value for value in process.environ().values()) else []
    return found


@pytest.fixture(scope="module")
def fitted(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    fold, X = fold_of()
    fold = fold.pooled()  # nothing to stop by: all rounds count
    seen: list[int] = []
    context, ended = Context(folder=tmp_path_factory.mktemp("tff")), threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            seen.extend(tensorflow())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        model = CONTENDER.fit(fold, context)
    finally:
        ended.set()
        watching.join()
    assert seen
    assert not tensorflow()
    return fold, X, model


def test_it_is_tffs_own_federated_averaging(fitted: Fitted) -> None:
    import ray

    fold, X, model = fitted
    sources = deal(fold)
    parcels = [ray.put(archive(_arrays(model.dense, source))) for source in sources]
    home, _ = Env("tff").call(
        "tests.federated.tff_reference:fed_avg",
        {"X": model.dense.matrix(X)},
        parcels,
        **CONTENDER.facts(0, seed=0),
        names=[source.name for source in sources],
        rounds=3,
    )
    assert len(model.weights) == 4
    for place, part in enumerate(model.weights):
        assert np.abs(part - home[str(place)]).max() <= 1e-6
    keras = model.dense.rows.target.back(home["told"][:, 0].astype(np.float64))
    assert model.predict(X) == pytest.approx(keras, rel=1e-4)


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
