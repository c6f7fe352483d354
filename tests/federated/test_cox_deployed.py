"""A Cox model over silos that dial out: that of the simulation, and with masks no sum of one silo leaves it."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from federated import Policy, cox
from federated.audit import verify
from federated.border import AUDIT
from federated.deployment.certificate import make_certificate, read_certificate
from federated.deployment.cox_federation import MODEL, federate_cox
from federated.deployment.deployed_cox_silo import DeployedCoxSilo
from federated.deployment.deployed_silo import DeployedSilo
from federated.deployment.dialer import Dialer
from federated.deployment.listener import Listener
from federated.deployment.register import Register
from federated.deployment.signing import identity_of, signers_of
from federated.message import Message
from federated.rounds import Terms
from federated.source import Filed, SourceError
from federated.strategies import FedAvg
from federated.survival.job import CoxJob
from federated.survival.model import CoxModel
from federated.survival.solution import CoxError
from recipes import hold_federation
from tests.federated.portfolios import job_of
from tests.federated.tenants import ASKED, OPEN, TENANTS, leavers

WAIT = 60.0
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("secure", [False, True])
def test_over_mutual_tls_it_is_the_model_of_the_simulation(secure: bool, tmp_path: Path) -> None:
    names = {owner: owner.replace(" ", "-") for owner in ("owner 0", "owner 1", "owner 2")}
    own = make_certificate("coordinator", tmp_path, hosts=["127.0.0.1"])
    certificates = {name: make_certificate(name, tmp_path) for name in names.values()}
    register = Register({name: read_certificate(each.path) for name, each in certificates.items()})
    trusted, table = read_certificate(own.path), leavers()
    sources = []
    for owner, name in names.items():
        table[table["owner"] == owner].to_parquet(tmp_path / f"{name}.parquet")
        sources.append(Filed(name, str(tmp_path / f"{name}.parquet"), OPEN))
    with ThreadPoolExecutor(len(names)) as pool:
        with Listener(register, "127.0.0.1:0", own, registry=signers_of(register)) as listener:
            running = []
            for source in sources:
                identity = identity_of(source.name, certificates[source.name], register)
                folder = tmp_path / "silos" / source.name
                silo = DeployedCoxSilo(source, "left", "months", folder, identity, secure=secure)
                where, shown = f"127.0.0.1:{listener.port}", certificates[source.name]
                running.append(pool.submit(Dialer(where, source.name, shown, trusted, silo.answer, patience=WAIT).run))
            listener.gather(WAIT, least=3)
            made = federate_cox(listener, "left", "months", outcomes=("0", "1"), terms=Terms(3, WAIT), secure=secure)
        assert min(each.result(WAIT) for each in running) > 5
    simulated = cox(sources, **ASKED, columns=dict(sorted(TENANTS.items())), secure=secure)
    told, columns = made.model, dict(sorted(TENANTS.items()))  # silos say which, sorted by name
    assert {column.name: column.kind for column in told.schema.columns} == columns
    np.testing.assert_allclose(told.coefficients, simulated.coefficients, rtol=0, atol=1e-8)
    assert (told.events, told.rows, told.concordance) == (simulated.events, simulated.rows, simulated.concordance)
    for name in names.values():
        file = tmp_path / "silos" / name / AUDIT
        verify(file)
        kinds = {json.loads(line)["kind"] for line in file.read_text().splitlines()}
        assert ({"masked", "unmasked"} <= kinds) == secure
        assert bool(kinds & {"summed", "moments", "histograms"}) != secure


def test_by_their_command_lines_it_is_the_simulation_s_model_and_a_silo_without_events_stays_out(
    tmp_path: Path,
) -> None:
    names, table = ("east", "north", "south"), leavers(silos=3)
    for name in ("coordinator", *names):
        make_certificate(name, tmp_path, hosts=["127.0.0.1"])
    (tmp_path / "silos.json").write_text(json.dumps({name: f"{name}.pem" for name in names}))
    for name, (_, rows) in zip(names, table.groupby("owner"), strict=True):
        kept = rows.assign(left=0) if name == "south" else rows
        kept.drop(columns="owner").to_parquet(tmp_path / f"{name}.parquet")
    both = ["--target", "left", "--duration", "months"]

    def started(recipe: str, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", f"recipes.{recipe}", *both, *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        out = subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True)

    own = ["--certificate", "coordinator.pem", "--key", "coordinator.key"]
    processes = [started("hold_federation", "--listen", "127.0.0.1:0", "--silos", "silos.json", *own)]
    try:
        assert processes[0].stdout is not None
        port = re.findall(r"^port (\d+): waiting for east, north, south$", processes[0].stdout.readline())[0]
        for name in names:
            shown = ["--certificate", f"{name}.pem", "--key", f"{name}.key", "--trusted", "coordinator.pem"]
            where = ["--coordinator", f"127.0.0.1:{port}", "--name", name, "--data", f"{name}.parquet"]
            processes.append(started("join_federation", *where, *shown))
        told = [process.communicate(timeout=280)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0, 2], told
    assert "3 silos learn when 'left' happens from 3 columns" in told[0]
    why = "silo 'south' has fewer than 5 events in 'left', and takes no part below that."
    assert f"error: the federation went on without silo 'south': {why}" in told[3]
    report = json.loads((tmp_path / "federation" / "report.json").read_text())
    assert (set(report["silos"]), report["silos_left_out"]) == ({"east", "north"}, {"south": why})
    assert report["columns"] == dict(sorted(TENANTS.items()))
    sources = [Filed(name, str(tmp_path / f"{name}.parquet")) for name in names]
    simulated = cox(sources, **ASKED, columns=dict(sorted(TENANTS.items())))
    model = CoxModel.load(tmp_path / "federation" / MODEL)
    np.testing.assert_allclose(model.coefficients, simulated.coefficients, rtol=0, atol=1e-10)


COX = CoxJob("left", ("0", "1"), "months", tuple(TENANTS.items()), 3)


@pytest.mark.parametrize(
    ("policy", "asked", "sentence"),
    [
        (OPEN, {"duration": "rise"}, "silo 'a' lets 'months' be the duration, and no other column"),
        (OPEN, {"target": "lift"}, "silo 'a' lets 'left' be predicted, and no other column"),
        (Policy(columns=frozenset(TENANTS)), {}, "silo 'a' does not let the column 'left' be used"),
        (Policy(columns=frozenset([*TENANTS, "left"])), {}, r"does not let the column\(s\) 'months' be used"),
        (Policy(strategies=frozenset({"FedAvg"})), {}, "silo 'a' does not train by Cox"),
        (Policy(most_rounds=2), {}, "at most 2 rounds, and 3 are asked"),
        (Policy(epsilon=1.0), {}, "without record-level privacy"),
    ],
)
def test_a_deployed_silo_holds_the_coordinator_to_what_its_owner_said(
    policy: Policy, asked: dict[str, str], sentence: str
) -> None:
    silo = DeployedCoxSilo(Filed("a", leavers(silos=1), policy), "left", "months")
    told = Message.from_bytes(silo.answer(Message("join", facts={"job": {**COX.to_facts(), **asked}}).to_bytes()))
    assert re.search(sentence, told.facts["reason"])
    assert silo.refused == told.facts["reason"]


def test_a_deployed_silo_tells_its_columns_but_what_is_asked_and_what_is_hidden() -> None:
    policy = Policy(columns=frozenset({"left", "months", "rise"}))
    silo = DeployedCoxSilo(Filed("a", leavers(silos=1).assign(left=1), policy), "left", "months")
    told = Message.from_bytes(silo.answer(Message("describe", facts={"target": "left"}).to_bytes()))
    assert told.facts == {"columns": {"months": "number", "rise": "number"}, "labels": [], "classified": False}


def test_a_silo_of_nets_and_one_of_cox_models_say_what_they_were_started_for() -> None:
    source = Filed("a", leavers(silos=1), OPEN)
    nets, models = DeployedSilo(source, "left"), DeployedCoxSilo(source, "rent", "months")
    told = Message.from_bytes(nets.answer(Message("join", facts={"job": COX.to_facts()}).to_bytes()))
    assert "silo 'a' takes part in nets, and was asked for a Cox model" in told.facts["reason"]
    told = Message.from_bytes(models.answer(Message("join", facts={"job": job_of(FedAvg()).to_facts()}).to_bytes()))
    assert told.facts["reason"] == "silo 'a' takes part in Cox models alone, and was asked for a net."


@pytest.mark.parametrize("column", ["left", "months"])
def test_a_silo_without_the_event_or_the_duration_does_not_start(column: str) -> None:
    silo = DeployedCoxSilo(Filed("a", leavers(silos=1).drop(columns=column)), "left", "months")
    with pytest.raises(SourceError, match=f"silo 'a' has no column '{column}'"):
        silo.check()


def test_a_cox_model_has_no_noise() -> None:
    asked = hold_federation.Config("127.0.0.1:0", "", "left", "", "", duration="months", epsilon=8.0)
    with pytest.raises(CoxError, match="nothing hides rows in the sums of a Cox model"):
        hold_federation.main(asked)
