"""A Cox model over silos that dial out: that of the simulation, and with masks no sum of one silo leaves it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from federated import cox
from federated.audit import verify
from federated.deployment.certificate import make_certificate, read_certificate
from federated.deployment.dialer import Dialer
from federated.deployment.listener import Listener
from federated.deployment.register import Register
from federated.deployment.signing import identity_of, signers_of
from federated.silo import AUDIT
from federated.source import Filed
from federated.survival.fitting import cox_over, job_of
from federated.survival.silo import CoxSilo
from tests.federated.tenants import ASKED, OPEN, TENANTS, leavers

WAIT = 60.0


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
    job = job_of(duration="months", event="left", columns=TENANTS, secure=secure)
    with ThreadPoolExecutor(len(names)) as pool:
        with Listener(register, "127.0.0.1:0", own, registry=signers_of(register)) as listener:
            running = []
            for source in sources:
                identity = identity_of(source.name, certificates[source.name], register)
                silo = CoxSilo(source, tmp_path / "silos" / source.name, identity)
                where, shown = f"127.0.0.1:{listener.port}", certificates[source.name]
                running.append(pool.submit(Dialer(where, source.name, shown, trusted, silo.answer, patience=WAIT).run))
            listener.gather(WAIT, least=3)
            told = cox_over(listener, job, round_seconds=WAIT)
        assert min(each.result(WAIT) for each in running) > 5
    simulated = cox(sources, **ASKED, columns=TENANTS, secure=secure)
    np.testing.assert_allclose(told.coefficients, simulated.coefficients, rtol=0, atol=1e-8)
    assert (told.events, told.rows, told.concordance) == (simulated.events, simulated.rows, simulated.concordance)
    for name in names.values():
        file = tmp_path / "silos" / name / AUDIT
        verify(file)
        kinds = {json.loads(line)["kind"] for line in file.read_text().splitlines()}
        assert ({"masked", "unmasked"} <= kinds) == secure
        assert bool(kinds & {"summed", "moments", "histograms"}) != secure
