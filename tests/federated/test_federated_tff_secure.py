"""TensorFlow Federated by masked sums: TFF's own weights, and no row or update of one silo in any byte."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.connect import Session
from cluster.env import Env
from cluster.wire import Facts, archive
from federated.exchange import FederationError
from federated.federated_tff import FederatedTFF
from federated.message import OPEN, SUMS
from federated.privacy.levels import SiloLevel
from federated.secure_aggregation.identity import found
from framework.contender import Context
from framework.data.load import load
from tests.federated.portfolios import fold_of, rents

CONTENDER = FederatedTFF(width=16, layers=1, server="sgd", server_rate=1.0, rounds=2, patience=0, epochs=1, secure=True)
pytestmark = pytest.mark.timeout(900)  # a process takes ten CPU seconds to start TensorFlow
SILOS, ROWS, ROUNDS, STEPS = 5, 60, 3, 4
CASES = {
    "mean, sgd": {"server": "sgd", "server_rate": 1.0},
    "mean, adam": {"server": "adam", "server_rate": 0.01},
    "private without noise": {"aggregator": "private", "clip": 0.05, "noise": 0.0, "server": "sgd", "server_rate": 1.0},
    "windows, adam": {"server": "adam", "server_rate": 0.01, "outputs": STEPS, "width": 8},
}
FORECASTS = [name.startswith("windows") for name in CASES]


@pytest.fixture(scope="module")
def told(ray_session: Session) -> Facts:
    """What a coordinator hears of five silos, in the first of which a row, or a window, is planted."""
    import ray

    rng, identities = np.random.default_rng(0), found(f"silo {place}" for place in range(SILOS))
    tables, series = list[object](), list[object]()
    canary = {"X": np.full((1, 6), 7.654321), "y": np.full(1, 6.543217)}
    for place, identity in enumerate(identities.values()):
        X = rng.normal(size=(ROWS, 6)).astype(np.float32)
        y = (X[:, 0] - X[:, 1] ** 2 + rng.normal(0, 0.1, ROWS) + place).astype(np.float32)
        if not place:
            X[3:4], y[3:4] = canary["X"], canary["y"]
        key = np.frombuffer(identity.key, dtype=np.uint8)
        tables.append(ray.put(archive({"X": X, "y": y, "valid X": X[:9], "valid y": y[:9], "key": key})))
        W = rng.normal(size=(ROWS, 5, 6)).astype(np.float32)
        after = np.column_stack([W[:, :STEPS, 0] + place, np.full(ROWS, 1.0 + place)]).astype(np.float32)
        if not place:
            W[3], after[3] = canary["X"], canary["y"]
        series.append(ray.put(archive({"X": W, "y": after, "valid X": W[:9], "valid y": after[:9], "key": key})))
    plain = {**CONTENDER.settings(0, 0, CONTENDER._job(fold_of()[0], 0)), "squared": False}
    _, facts = Env("tff").call(
        "tests.federated.tff_secure:heard",
        canary,
        [*tables, *series],
        names=list(identities),
        settings=[{**plain, **case} for case in CASES.values()],
        forecasts=FORECASTS,
        registry={silo: key.hex() for silo, key in identities["silo 0"].registry.items()},
        counts=dict.fromkeys(identities, ROWS),
        rounds=ROUNDS,
    )
    return facts


@pytest.mark.parametrize("case", CASES)
def test_masked_rounds_are_tffs_own(case: str, told: Facts) -> None:
    facts = told["cases"][list(CASES).index(case)]
    assert facts["longest"] > 0.01
    assert facts["apart"] <= 1e-4 * facts["longest"] * ROUNDS
    assert facts["scores"][-1] == pytest.approx(facts["expected"], rel=1e-4)
    assert None not in facts["scores"]
    assert facts["nothing"] == []


@pytest.mark.parametrize("case", CASES)
def test_no_planted_row_and_no_single_update_is_in_any_byte_received(case: str, told: Facts) -> None:
    """Masks that are taken out show that the test would see what they hide."""
    facts = told["cases"][list(CASES).index(case)]
    assert facts["canaries"] == 7
    assert (facts["rows"], facts["updates"], facts["masked"]) == (0, 0, 0)
    assert facts["parts"] == 2 * SILOS * ROUNDS
    assert facts["unmasked"] == 2 * SILOS
    assert set(facts["kinds"]) == set(SUMS)
    assert not set(facts["kinds"]) & OPEN


@pytest.mark.parametrize("case", ["mean, sgd", "windows, adam"])
def test_a_silo_that_is_gone_costs_its_own_part_and_too_few_end_it(case: str, told: Facts) -> None:
    masked, advert, unmasked, two = told["gone"][str(list(CASES).index(case))]
    for facts, silos in ((masked, 4), (advert, 4), (unmasked, 5)):
        assert facts["rows"] == pytest.approx(ROWS * silos, rel=1e-3)
        assert any("'silo 0' refused: its process is gone" in note for note in facts["notes"])
    assert re.search(r"^FederationError: .* 3 of 5 silos sent masked vectors, and 4 are needed", two["error"])


def test_two_silos_are_too_few(ray_session: Session, tmp_path: Path) -> None:
    fold = load(rents(silos=2).drop(columns="dear"), target="rent", silo="owner").fold
    for contender in (CONTENDER, replace(CONTENDER, aggregator="private", privacy=SiloLevel(epsilon=50.0, delta=1e-3))):
        with pytest.raises(FederationError, match=r"secure aggregation needs at least 3 silos .* 2 of 2 take part"):
            contender.fit(fold, Context(folder=tmp_path))
