"""Silos as processes of their own, started by their command line: the simulation's weights, also over a killed one."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from federated.audit import verify
from federated.border import AUDIT
from federated.channel import Direct, Ticket
from federated.deployment.certificate import make_certificate, read_certificate
from federated.deployment.federation import SiloColumnError, federate
from federated.deployment.listener import Listener
from federated.deployment.register import Register
from federated.federated_average import FederatedAverage
from federated.message import Message
from federated.rounds import Coordinator, Terms
from federated.source import Filed
from framework.predictor import Predictor
from framework.serving.tls import Certificate
from tests.federated.portfolios import QUICK, rents

NAMES = ("north", "south", "west")
ROOT = Path(__file__).parents[2]
CONTENDER = FederatedAverage(**{**QUICK, "rounds": 3})  # type: ignore[arg-type]
TERMS = Terms(quorum=3, round_seconds=290.0)


def started(home: Path, port: int, name: str, *further: str) -> "subprocess.Popen[str]":
    """A silo by its command line."""
    flags = {
        "coordinator": f"127.0.0.1:{port}",
        "name": name,
        "data": f"{name}.parquet",
        "target": "rent",
        "certificate": f"{name}.pem",
        "key": f"{name}.key",
        "trusted": "coordinator.pem",
    }
    words = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "recipes.join_federation", *words, *further],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Killing(Listener):
    """Kills a silo's process over the question of the second round, and starts it again."""

    def __init__(self, register: Register, certificate: Certificate, home: Path) -> None:
        super().__init__(register, "127.0.0.1:0", certificate)
        self.home = home
        self.running = {name: started(home, self.port, name) for name in NAMES}
        self.killed: subprocess.Popen[str] | None = None

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        asked = Message.from_bytes(request)
        if self.killed or (asked.kind, asked.round) != ("train", 2):
            return super().ask(silos, request)
        self.killed = self.running["south"]
        self.killed.send_signal(signal.SIGSTOP)  # it is asked and cannot answer
        tickets = super().ask(silos, request)
        self.killed.kill()
        self.running["south"] = started(self.home, self.port, "south")
        return tickets


def settled(home: Path) -> tuple[Register, Certificate]:
    """Rows and certificates of all, in one folder; what the coordinator knows, and shows."""
    for name, (_, rows) in zip(NAMES, rents(silos=3).groupby("owner"), strict=True):
        rows.drop(columns=["dear", "owner"]).to_parquet(home / f"{name}.parquet")
    made = {name: make_certificate(name, home, hosts=["127.0.0.1"]) for name in (*NAMES, "coordinator")}
    return Register({name: read_certificate(made[name].path) for name in NAMES}), made["coordinator"]


def test_an_interrupted_silo_ends_in_order(tmp_path: Path) -> None:
    register, own = settled(tmp_path)
    alone = Register({"north": register.certificates["north"]})
    with Listener(alone, "127.0.0.1:0", own) as listener:
        silo = started(tmp_path, listener.port, "north")
        listener.gather(200.0, least=1)
        silo.terminate()  # as Ctrl-C, which a shell may have children ignore
        told = silo.communicate(timeout=280)[0]
        assert silo.returncode == 130
        assert "interrupted" in told.splitlines()


def test_silos_in_processes_of_their_own_end_with_the_simulation_s_weights(tmp_path: Path) -> None:
    register, own = settled(tmp_path)
    with Killing(register, own, tmp_path) as listener:
        try:
            listener.gather(200.0, least=3)
            with pytest.raises(SiloColumnError, match="'size' already"):
                federate(listener, CONTENDER, "rent", terms=TERMS, folder=tmp_path / "other", silo="size")
            told = federate(listener, CONTENDER, "rent", terms=TERMS, folder=tmp_path / "rounds")
        except BaseException:
            for process in listener.running.values():
                process.kill()
            raise
    ended = {name: process.communicate(timeout=280)[0] for name, process in listener.running.items()}
    assert {name: process.returncode for name, process in listener.running.items()} == dict.fromkeys(NAMES, 0), ended
    assert listener.killed is not None
    assert listener.killed.wait(100) == -signal.SIGKILL

    happened = [(each.round, each.silo, each.what) for each in told.outcome.happenings]
    assert happened == [(2, "south", "lost"), (2, "south", "returned")]
    job = CONTENDER.job_of(
        "rent",
        "rmse",
        (("age", "number"), ("heated", "boolean"), ("kind", "category"), ("size", "number")),
        (),
        0,
    )
    sources = [Filed(name, str(tmp_path / f"{name}.parquet")) for name in NAMES]
    simulated = Coordinator(Direct(sources), job, TERMS, tmp_path / "simulated").run()
    assert set(told.outcome.weights) == set(simulated.weights)
    for name, array in simulated.weights.items():
        assert np.abs(told.outcome.weights[name] - array).max() <= 1e-6
    assert told.outcome.members == simulated.members
    assert told.outcome.rows == {"north": 48, "south": 48, "west": 48}

    # A coordinator that is started again asks no silo what it holds, and makes no round twice.
    again = federate(Direct(sources), CONTENDER, "rent", terms=TERMS, folder=tmp_path / "rounds")
    assert all((again.outcome.weights[name] == array).all() for name, array in told.outcome.weights.items())
    assert again.outcome.members == told.outcome.members

    sealed, _ = verify(tmp_path / "silos" / "north" / AUDIT)
    assert sealed == int(ended["north"].rpartition("the federation is over; ")[2].split()[0])
    assert "described" in (tmp_path / "silos" / "north" / AUDIT).read_text()

    told.predictor.save(tmp_path / "model")
    opened = Predictor.open(tmp_path / "model")
    flats = rents(silos=1).drop(columns=["rent", "dear", "owner"])
    answers, warnings = opened.predict(flats.assign(silo="north"))
    assert np.isfinite(answers["prediction"]).all()
    assert not warnings
    assert opened.problem.kind == "regression"
