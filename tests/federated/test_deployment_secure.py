"""Secure aggregation and privacy among silos in processes of their own, over mutual TLS: the simulation's weights, what
leaves each silo, and who refuses what."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from federated.border import AUDIT
from federated.channel import Direct
from federated.deployment.certificate import make_certificate
from federated.deployment.federation import Federated, federate
from federated.deployment.listener import Listener
from federated.deployment.register import Register
from federated.deployment.signing import signers_of
from federated.exchange import FederationError
from federated.federated_average import FederatedAverage
from federated.privacy import RecordLevel
from federated.rounds import Coordinator, Terms
from federated.secure_aggregation.identity import found
from federated.source import Filed
from federated.strategies import FedAvg
from framework.plain import write_json
from framework.privacy.ledger import LEDGER
from framework.serving.tls import Certificate
from tests.federated.portfolios import QUICK, rents
from tests.federated.test_deployment_processes import started

pytestmark = pytest.mark.timeout(600)
FREE, CAREFUL = ("east", "north", "south"), "west"  # the last one gives an epsilon of 2.2 for its rows, and no more
TERMS = Terms(quorum=3, round_seconds=290.0)
SUMMED = FederatedAverage(**{**QUICK, "strategy": FedAvg(), "rounds": 2, "secure": True})  # type: ignore[arg-type]
OPEN = FederatedAverage(**{**QUICK, "strategy": FedAvg(), "rounds": 2})  # type: ignore[arg-type]
HIDDEN = FederatedAverage(
    **{**QUICK, "strategy": FedAvg(), "rounds": 2, "secure": True},  # type: ignore[arg-type]
    privacy=RecordLevel(epsilon=2.0, delta=1e-3, statistics=0.0),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everybody's files, which in earnest lie on machines of their own; the register is what all have exchanged."""
    folder, names = tmp_path_factory.mktemp("silos"), (*FREE, CAREFUL)
    for name, (_, rows) in zip(names, rents(silos=4).groupby("owner"), strict=True):
        rows.drop(columns=["dear", "owner"]).to_parquet(folder / f"{name}.parquet")
        make_certificate(name, folder)
    make_certificate("coordinator", folder, hosts=["127.0.0.1"])
    write_json(folder / "silos.json", {name: f"{name}.pem" for name in names})
    return folder


@pytest.fixture(scope="module")
def listener(home: Path) -> Iterator[Listener]:
    register = Register.open(home / "silos.json")
    own = Certificate(str(home / "coordinator.pem"), str(home / "coordinator.key"))
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        with Listener(register, "127.0.0.1:0", own, registry=signers_of(register)) as made:
            for name in (*FREE, CAREFUL):
                limits = ["--epsilon", "2.2", "--delta", "0.001"] if name == CAREFUL else []
                running[name] = started(home, made.port, name, "--secure", "--silos", "silos.json", *limits)
            made.gather(250.0, least=4)
            yield made
        ended = {name: process.communicate(timeout=280)[0] for name, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    assert {name: process.returncode for name, process in running.items()} == {**dict.fromkeys(FREE, 0), CAREFUL: 2}
    assert "the federation went on without silo 'west'" in ended[CAREFUL]


def refusals(told: Federated) -> dict[str, str]:
    return {each.silo: each.why for each in told.outcome.happenings if each.what == "refused"}


def test_their_sum_is_the_simulations_and_no_update_leaves_them(listener: Listener, home: Path, tmp_path: Path) -> None:
    told = federate(listener, SUMMED, "rent", terms=TERMS, folder=tmp_path / "rounds")
    assert set(told.outcome.rows) == set(FREE)
    assert "asked to train without record-level privacy" in refusals(told)[CAREFUL]
    assert told.to_json()["secure"]

    columns = tuple((column.name, column.kind) for column in told.outcome.preparation.schema.columns)
    job = SUMMED.job_of("rent", "rmse", columns, (), 0)
    sources = [Filed(name, str(home / f"{name}.parquet")) for name in FREE]
    simulated = Coordinator(Direct(sources, None, found(FREE)), job, TERMS, tmp_path / "simulated").run()
    assert set(told.outcome.weights) == set(simulated.weights)
    for name, array in simulated.weights.items():
        assert np.abs(told.outcome.weights[name] - array).max() <= 1e-4
    for name in FREE:
        left = (home / "silos" / name / AUDIT).read_text()
        assert '"kind": "masked"' in left
        assert '"kind": "update"' not in left
        assert '"kind": "score"' not in left


def test_an_open_round_is_refused_by_all_of_them(listener: Listener, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="in secure aggregation alone, and was asked for updates in the clear"):
        federate(listener, OPEN, "rent", terms=TERMS, folder=tmp_path)


def test_noise_hides_their_rows_until_a_silos_own_epsilon_is_spent(
    listener: Listener, home: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    told = federate(listener, HIDDEN, "rent", terms=TERMS, folder=tmp_path / "first", tell=said.append)
    assert set(told.outcome.rows) == {*FREE, CAREFUL}
    assert not refusals(told)
    (promise,) = told.to_json()["promises"]
    assert re.match(r"\((1\.9\d?|2), 0\.001\)-differential privacy for each row of each silo", promise)
    assert promise in said
    assert all((home / "silos" / name / LEDGER).exists() for name in (*FREE, CAREFUL))

    again = federate(listener, HIDDEN, "rent", terms=TERMS, folder=tmp_path / "second", seed=1)
    assert set(again.outcome.rows) == set(FREE)
    assert "ε = 2.2" in refusals(again)[CAREFUL]
