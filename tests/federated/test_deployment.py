"""Silos that dial in: who is let in and as whom, what becomes of lost connections, what silos say of their columns."""

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from federated.channel import Direct, LostSiloError
from federated.deployment.certificate import make_certificate, own_certificate, read_certificate
from federated.deployment.columns import Columns, agree
from federated.deployment.deployed_silo import DeployedSilo, OutsideError, UnreadableError
from federated.deployment.dialer import Dialer, JoinError
from federated.deployment.federation import federate
from federated.deployment.listener import Listener, ListenError
from federated.deployment.register import Register, RegisterError
from federated.deployment.signing import identity_of, signers_of
from federated.exchange import FederationError
from federated.federated_average import FederatedAverage
from federated.message import Message
from federated.policy import Policy
from federated.rounds import Terms
from federated.secure_aggregation.identity import signed
from federated.secure_aggregation.rules import RulesError
from federated.source import Filed, SourceError
from federated.strategies.fedavg import FedAvg
from framework.metric import MetricError
from framework.plain import write_json
from framework.serving.tls import Certificate, CertificateError
from tests.federated.portfolios import job_of, rents

SILOS = ("north", "south")
WAIT = 60.0  # seconds for what takes none: only a hang is as long


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("papers")
    made = {name: make_certificate(name, folder) for name in (*SILOS, "stranger")}
    hosts = ["localhost", "127.0.0.1"]
    return made | {name: make_certificate(name, folder, hosts=hosts) for name in ("coordinator", "other")}


@pytest.fixture(scope="module")
def register(papers: dict[str, Certificate]) -> Register:
    return Register({name: read_certificate(papers[name].path) for name in SILOS})


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def listener(
    pool: ThreadPoolExecutor, register: Register, papers: dict[str, Certificate]
) -> Iterator[Listener]:  # it is closed before the pool, whose silos run until then
    with Listener(register, "127.0.0.1:0", papers["coordinator"], most_bytes=10_000) as made:
        yield made


def echo(question: bytes) -> bytes:
    return question.upper()


def dialer(papers: dict[str, Certificate], port: int, name: str = "north", **given: object) -> Dialer:
    """certificate: whose to show; trusted: whose to trust."""
    shown = papers[str(given.pop("certificate", name))]
    trusted = read_certificate(papers[str(given.pop("trusted", "coordinator"))].path)
    settings = {"answer": echo, "patience": WAIT, "most_bytes": 10_000, **given}
    return Dialer(f"127.0.0.1:{port}", name, shown, trusted, **settings)  # type: ignore[arg-type]


def asked(listener: Listener, silo: str, question: bytes) -> bytes:
    tickets = listener.ask([silo], question)
    assert listener.wait(tickets, WAIT) == [silo]
    return listener.take(tickets[silo])


def test_silos_answer_each_under_its_own_name_until_the_goodbye(
    papers: dict[str, Certificate], register: Register, pool: ThreadPoolExecutor
) -> None:
    with Listener(register, "localhost:0", papers["coordinator"]) as listener:
        running = [
            pool.submit(dialer(papers, listener.port, name, answer=lambda q, n=name: n.encode() + q).run)
            for name in SILOS
        ]
        assert listener.gather(WAIT, least=2) == listener.silos == SILOS
        tickets = listener.ask(SILOS, b"?")
        told: dict[str, bytes] = {}
        while waiting := {silo: ticket for silo, ticket in tickets.items() if silo not in told}:
            told |= {silo: listener.take(tickets[silo]) for silo in listener.wait(waiting, WAIT)}
        assert told == {"north": b"north?", "south": b"south?"}
    assert [each.result(WAIT) for each in running] == [1, 1]


def test_a_certificate_that_the_register_has_not_is_refused(papers: dict[str, Certificate], listener: Listener) -> None:
    with pytest.raises(CertificateError, match=r"refuses the certificate .*stranger\.pem"):
        dialer(papers, listener.port, certificate="stranger").run()


def test_a_coordinator_that_is_not_the_trusted_one_is_not_spoken_to(
    papers: dict[str, Certificate], listener: Listener
) -> None:
    answered: list[bytes] = []
    for trusted in ("other", "north"):
        with pytest.raises(CertificateError, match="is not the coordinator that is trusted"):
            dialer(papers, listener.port, trusted=trusted, answer=answered.append).run()
    assert not answered


def test_a_silo_cannot_speak_as_another(papers: dict[str, Certificate], listener: Listener) -> None:
    for name in ("south", "nobody"):
        with pytest.raises(JoinError, match=f"not that of the silo '{name}'"):
            dialer(papers, listener.port, name, certificate="north").run()
    with pytest.raises(ListenError, match=r"0 silo\(s\) came .*'north', 'south' did not"):
        listener.gather(0.0, least=1)
    with pytest.raises(ListenError, match="the register has 2"):
        listener.gather(0.0, least=3)


class LostError(Exception):
    """The end of a silo's process."""


def test_a_silo_lost_over_a_question_is_told_and_asked_again_when_it_is_back(
    papers: dict[str, Certificate], listener: Listener, pool: ThreadPoolExecutor
) -> None:
    def fail(question: bytes) -> bytes:
        raise LostError

    with pytest.raises(LostSiloError, match="not in the register"):
        asked(listener, "west", b"one")
    gone = pool.submit(dialer(papers, listener.port, answer=fail).run)
    with pytest.raises(LostSiloError, match="connection ended"):
        asked(listener, "north", b"one")
    assert isinstance(gone.exception(WAIT), LostError)
    tickets = listener.ask(["north"], b"two")
    assert listener.wait(tickets, 0.0) == []  # it waits for the silo
    back = pool.submit(dialer(papers, listener.port).run)
    assert listener.wait(tickets, WAIT) == ["north"]
    assert listener.take(tickets["north"]) == b"TWO"
    listener.close()
    assert back.result(WAIT) == 1


def test_a_silo_looks_for_a_coordinator_that_is_started_anew(
    papers: dict[str, Certificate], register: Register, pool: ThreadPoolExecutor
) -> None:
    told: list[str] = []
    first = Listener(register, "127.0.0.1:0", papers["coordinator"])
    running = pool.submit(dialer(papers, first.port, tell=told.append).run)
    assert asked(first, "north", b"one") == b"ONE"
    first.close(goodbye=False)
    with Listener(register, f"127.0.0.1:{first.port}", papers["coordinator"]) as second:
        assert asked(second, "north", b"two") == b"TWO"
    assert running.result(WAIT) == 2
    assert [line for line in told if "connected" in line] == [told[0], told[-1]]


def test_the_newest_process_of_a_silo_is_the_silo(
    papers: dict[str, Certificate], listener: Listener, pool: ThreadPoolExecutor
) -> None:
    old = pool.submit(dialer(papers, listener.port, answer=lambda question: b"old").run)
    assert asked(listener, "north", b"?") == b"old"
    pool.submit(dialer(papers, listener.port, answer=lambda question: b"new").run)
    with pytest.raises(JoinError, match="another process has joined as the silo 'north'"):
        old.result(WAIT)
    assert asked(listener, "north", b"?") == b"new"


def test_a_message_is_only_so_long(
    papers: dict[str, Certificate], listener: Listener, pool: ThreadPoolExecutor
) -> None:
    with pytest.raises(ListenError, match=r"10,001 bytes is more than the 10,000"):
        listener.ask(["north"], b"?" * 10_001)
    running = pool.submit(dialer(papers, listener.port, answer=lambda question: b"!" * 10_001).run)
    with pytest.raises(LostSiloError):
        asked(listener, "north", b"?")
    with pytest.raises(JoinError, match="10001"):
        running.result(WAIT)


def test_a_coordinator_that_is_not_there_or_no_coordinator_ends_it(papers: dict[str, Certificate]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(JoinError, match=rf"no coordinator at 127.0.0.1:{port} for 0 s \(Connection refused\)"):
        dialer(papers, port, patience=0.0).run()
    with pytest.raises(JoinError, match="'nowhere' is no HOST:PORT"):
        Dialer("nowhere", "north", papers["north"], b"", echo)


def test_a_port_that_is_taken_is_told(papers: dict[str, Certificate], register: Register, listener: Listener) -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        Listener(register, f"127.0.0.1:{listener.port}", papers["coordinator"])


def test_certificates_are_private_and_never_replaced(tmp_path: Path) -> None:
    made = make_certificate("north", tmp_path)
    assert [oct(Path(path).stat().st_mode)[-3:] for path in (made.path, made.key)] == ["600", "600"]
    assert own_certificate(made.path, made.key).key == made.key
    with pytest.raises(CertificateError, match="is there already"):
        make_certificate("north", tmp_path)
    for name in ("", "../north", "n" * 65):
        with pytest.raises(CertificateError, match="cannot be a file's name"):
            make_certificate(name, tmp_path)


def test_a_register_tells_silos_apart(tmp_path: Path, papers: dict[str, Certificate]) -> None:
    file = tmp_path / "silos.json"

    def opened(content: str) -> Register:
        file.write_text(content)
        return Register.open(file)

    found = opened(json.dumps({name: papers[name].path for name in SILOS}))
    assert found.silos == SILOS
    with pytest.raises(RegisterError, match="'north' and 'south' have one certificate"):
        opened(json.dumps(dict.fromkeys(SILOS, papers["north"].path)))
    with pytest.raises(CertificateError, match="no self-signed certificate"):
        opened(json.dumps({"north": papers["north"].key}))
    for content, why in (
        ("{", "no JSON"),
        ("[]", "no register"),
        ("{}", "no register"),
        ('{"north": 1}', "no register"),
    ):
        with pytest.raises(RegisterError, match=why):
            opened(content)


def silo_of(table: pd.DataFrame | None = None, target: str = "rent", **policy: object) -> DeployedSilo:
    table = rents(silos=1) if table is None else table
    return DeployedSilo(Filed("north", table, Policy(**policy)), target)  # type: ignore[arg-type]


def said(silo: DeployedSilo, target: str = "rent") -> Message:
    return Message.from_bytes(silo.answer(Message("describe", facts={"target": target}).to_bytes()))


def test_a_silo_says_names_and_kinds_and_no_value() -> None:
    told = said(silo_of())
    kinds = {"size": "number", "age": "number", "kind": "category", "heated": "boolean", "dear": "boolean"}
    assert told.facts == {"columns": kinds, "labels": [], "classified": False}
    assert said(silo_of(columns=frozenset({"size", "rent"}))).facts["columns"] == {"size": "number"}


def test_a_label_of_a_few_rows_is_not_named() -> None:
    table = rents(silos=1)
    table.loc[:2, "kind"] = "castle"
    told = said(silo_of(table, "kind"), "kind").facts
    assert told["labels"] == ["flat", "house", "loft"]
    assert told["classified"]
    assert "castle" in said(silo_of(table, "kind", minimum_count=3), "kind").facts["labels"]


def test_a_silo_lets_its_own_target_be_predicted_and_no_other() -> None:
    silo = silo_of()
    silo.check_part()
    assert said(silo, "age").facts == {"reason": "silo 'north' lets 'rent' be predicted, and no other column."}
    with pytest.raises(OutsideError, match=r"without silo 'north': .* no other column"):
        silo.check_part()
    job = job_of(FedAvg(), rounds=1).to_facts()
    joined = Message("join", facts={"job": {**job, "target": "size"}}).to_bytes()
    assert Message.from_bytes(silo_of().answer(joined)).kind == "refusal"
    assert said(silo_of(columns=frozenset({"size"}))).kind == "refusal"
    assert said(silo_of(minimum_rows=61)).kind == "refusal"


def test_a_silo_without_its_target_or_asked_nonsense_says_so() -> None:
    with pytest.raises(SourceError, match="no column 'price'"):
        silo_of(target="price").check()
    for nonsense in (b"hello", b"silo1\n{}\n", b"silo1\n[]\n"):
        with pytest.raises(UnreadableError, match="no question of this version"):
            silo_of().answer(nonsense)


def test_a_silo_that_sums_in_secret_alone_refuses_an_open_round(
    papers: dict[str, Certificate], register: Register
) -> None:
    source = Filed("north", rents(silos=1))
    silo = DeployedSilo(source, "rent", None, identity_of("north", papers["north"], register), secure=True)

    def joined(**asked: object) -> Message:
        job = job_of(FedAvg(), rounds=1, **asked).to_facts()
        return Message.from_bytes(silo.answer(Message("join", facts={"job": job}).to_bytes()))

    assert joined().facts["reason"] == (
        "silo 'north' takes part in secure aggregation alone, and was asked for updates in the clear."
    )
    with pytest.raises(OutsideError, match="in the clear"):
        silo.check_part()
    assert joined(secure=True).kind == "joined"
    silo.check_part()
    nobody = DeployedSilo(source, "rent", secure=True)
    asked = Message("join", facts={"job": job_of(FedAvg(), rounds=1, secure=True).to_facts()})
    assert "no key to sign with" in Message.from_bytes(nobody.answer(asked.to_bytes())).facts["reason"]


def test_a_certificate_names_the_key_that_its_owner_signs_with(
    papers: dict[str, Certificate], register: Register, tmp_path: Path
) -> None:
    north, south = (identity_of(name, papers[name], register) for name in SILOS)
    assert north.registry == south.registry == signers_of(register)
    word = north.sign(b"sum")
    assert signed(south.registry, "north", word, b"sum")
    assert not signed(south.registry, "south", word, b"sum")
    assert north.key != south.key
    with pytest.raises(RegisterError, match="another certificate for it"):
        identity_of("north", papers["stranger"], register)
    with pytest.raises(RegisterError, match="none of it, but of north, south"):
        identity_of("stranger", papers["stranger"], register)
    old = tmp_path / "old.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*made, "-subj", "/CN=old", "-keyout", tmp_path / "old.key", "-out", old], check=True)
    with pytest.raises(RegisterError, match="certificate of silo 'old' names no key"):
        signers_of(Register({"old": read_certificate(old)}))


def test_a_federation_of_two_hides_nobody_and_is_not_begun(
    papers: dict[str, Certificate], register: Register, tmp_path: Path
) -> None:
    identities = {name: identity_of(name, papers[name], register) for name in SILOS}
    channel = Direct([Filed(name, rents(silos=1)) for name in SILOS], None, identities)
    with pytest.raises(RulesError, match="at least 3 silos"):
        federate(channel, FederatedAverage(secure=True), "rent", terms=Terms(), folder=tmp_path)


def holds(classified: bool = False, labels: tuple[str, ...] = (), **columns: str) -> dict[str, object]:
    return {"columns": columns, "labels": list(labels), "classified": classified}


def test_what_most_silos_hold_as_one_kind_is_learned_from() -> None:
    told = {
        "north": holds(size="number", kind="category", code="number"),
        "south": holds(size="number", kind="category", code="category"),
        "west": holds(size="category", kind="category", lift="boolean"),
    }
    agreed = agree(told)
    assert agreed.features == (("kind", "category"), ("size", "number"))
    assert set(agreed.left_out) == {"code", "lift"}
    assert agreed.labels == ()
    with pytest.raises(FederationError, match="no column beside the target"):
        agree({"north": holds(size="number"), "south": holds(area="number")})


def test_labels_are_those_of_all_silos_where_most_predict_classes() -> None:
    told = {
        "north": holds(True, ("no", "yes"), size="number"),
        "south": holds(True, ("maybe", "yes"), size="number"),
        "west": holds(size="number"),
    }
    assert agree(told).labels == ("maybe", "no", "yes")
    with pytest.raises(FederationError, match="fewer than 2 labels"):
        agree({"north": holds(True, ("yes",), size="number")})


def test_what_was_agreed_is_gone_on_with_and_a_metric_has_to_fit_it(tmp_path: Path) -> None:
    agreed = agree({"north": holds(size="number", lift="boolean"), "south": holds(size="number")})
    write_json(tmp_path / "columns.json", agreed.to_json())
    assert Columns.from_json(json.loads((tmp_path / "columns.json").read_text())) == agreed
    settings = {"terms": Terms(), "folder": tmp_path}
    for metric, why in (("roc_auc", "cannot score kind='regression'"), ("nonsense", "nonsense")):
        with pytest.raises(MetricError, match=why):
            federate(Direct([]), FederatedAverage(), "rent", metric=metric, **settings)  # type: ignore[arg-type]
