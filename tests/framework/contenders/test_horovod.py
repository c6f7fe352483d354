"""Horovod as a contender. Its ranks need the wheel of `make horovod`, and these tests fail without it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from cluster.resources import Resources
from framework.contender import Context
from framework.contenders.horovod import Horovod
from framework.contenders.store import store_model
from framework.contenders.torch_ddp import TorchDDP
from framework.data.frame import Fold, Frame
from framework.data.load import load

pytestmark = pytest.mark.ray  # it starts Horovod on Ray

ROOT = Path(__file__).parents[3]
SMALL = {"net": "mlp", "workers": 2, "looks": 4, "batch": 64, "accumulate": 2, "checkpoint_steps": 5}


@pytest.fixture(scope="module")
def cancer() -> tuple[Fold, Frame]:
    split = load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary")
    return split.fold, split.test


def test_it_asks_for_what_ddp_asks_for() -> None:
    assert (Horovod().name, TorchDDP().name) == ("horovod/tabm", "torch_ddp/tabm")
    assert Horovod(workers=3, cpus=2.0).resources == Resources(cpus=2.0, workers=3, apart=True)
    assert Horovod(looks=7).plan(1, 900) == TorchDDP(looks=7).plan(1, 900)


@pytest.mark.usefixtures("ray_session")
def test_two_ranks_predict_what_ddp_predicts(cancer: tuple[Fold, Frame], tmp_path: Path) -> None:
    fold, test = cancer
    heard: list[tuple[int, dict[str, float]]] = []
    context = Context(seed=5, folder=tmp_path, sink=lambda step, told: heard.append((step, told)))
    model = Horovod(**SMALL).fit(fold, context)
    looks = [(step, told["valid_loss"]) for step, told in heard if told]
    assert [step for step, _ in looks] == [1, 2, 3, 4]
    assert looks[-1][1] < looks[0][1]
    ddp = TorchDDP(**SMALL).fit(fold, Context(seed=5, folder=tmp_path))
    assert np.abs(model.predict(test.X) - ddp.predict(test.X)).max() < 1e-5
    assert type(model) is type(ddp)
    assert Horovod(**SMALL).settled(model) == Horovod(**(SMALL | {"looks": model.looks, "patience": 0}))
    # Another seed is another net: the two were not equal for being untrained.
    other = Horovod(**(SMALL | {"workers": 1})).fit(fold, Context(seed=6))
    assert np.abs(other.predict(test.X) - ddp.predict(test.X)).max() > 1e-3
    _opens_without_horovod(model, test, tmp_path)


def _opens_without_horovod(model: object, test: Frame, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    store_model(model, folder)
    test.X.to_parquet(tmp_path / "rows.parquet")
    script = """
import sys
sys.modules["horovod"] = None
from pathlib import Path
import numpy as np, pandas as pd
from framework.contenders.store import open_model
home = Path(sys.argv[1])
np.save(home / "told.npy", open_model(home / "model").predict(pd.read_parquet(home / "rows.parquet")))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=tmp_path, env=environment)
    assert np.allclose(np.load(tmp_path / "told.npy"), model.predict(test.X), atol=1e-6)


@pytest.mark.usefixtures("ray_session")
def test_it_goes_on_from_its_checkpoints(cancer: tuple[Fold, Frame], tmp_path: Path) -> None:
    fold, test = cancer
    long = Horovod(**SMALL)
    context = Context(seed=5, checkpoints=str(tmp_path / "kept"))
    replace(long, looks=2).fit(fold, context)
    heard: list[int] = []
    sink = replace(context, sink=lambda step, told: heard.append(step) if told else None)
    model = long.fit(fold, sink)
    assert heard == [3, 4]
    straight = Horovod(**(SMALL | {"workers": 1})).fit(fold, Context(seed=5))
    assert np.abs(model.predict(test.X) - straight.predict(test.X)).max() < 0.05
