"""Several silos of one process: what they write down is on the disk before any answer leaves, and none of them takes
another one with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from federated import audit as audits
from federated.audit import Audit, verify
from federated.border import AUDIT, folder_name
from federated.channel import Direct
from federated.message import Message
from federated.silo import Silo
from federated.silo_host import answers
from federated.strategies.fedavg import FedAvg
from framework.sealed import settle
from tests.federated.portfolios import filed, job_of

JOIN = Message("join", facts={"job": job_of(FedAvg(), rounds=1).to_facts()}).to_bytes()


def silos(folder: Path) -> dict[str, Silo]:
    return {source.name: Silo(source, folder / folder_name(source.name)) for source in filed()[:3]}


def test_all_lines_are_on_the_disk_before_an_answer_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk: dict[str, int] = {}

    def settled(path: Path) -> None:
        lines = verify(path)[0]  # written before it is settled
        settle(path)
        on_disk[path.parent.name] = lines

    monkeypatch.setattr(audits, "settle", settled)
    held = silos(tmp_path)
    for number in (1, 2):
        told = answers(held, JOIN)
        assert {Message.from_bytes(sent).kind for sent in told.values() if isinstance(sent, bytes)} == {"joined"}
        assert on_disk == {folder_name(name): number for name in held}
    on_disk.clear()
    silo = next(iter(held.values()))
    silo.answer(JOIN)
    assert list(on_disk.values()) == [3]  # and of one that is asked alone


def test_several_silos_answer_the_bytes_that_each_of_them_would(tmp_path: Path) -> None:
    together, alone = silos(tmp_path / "together"), silos(tmp_path / "alone")
    assert answers(together, JOIN) == {name: silo.answer(JOIN) for name, silo in alone.items()}


def test_a_silo_that_cannot_write_down_what_it_would_send_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, unwritable, sound = tmp_path / "owner%200", tmp_path / "owner%201", tmp_path / "owner%202"

    def settled(path: Path) -> None:
        if path.parent == full:
            raise OSError("no space left")
        settle(path)

    monkeypatch.setattr(audits, "settle", settled)
    held = silos(tmp_path)
    (unwritable / AUDIT).mkdir()
    told = answers(held, JOIN)
    assert isinstance(told["owner 0"], OSError)
    assert isinstance(told["owner 1"], IsADirectoryError)
    assert isinstance(told["owner 2"], bytes)
    assert verify(sound / AUDIT)[0] == 1
    channel = Direct(filed()[:1], tmp_path)
    with pytest.raises(OSError, match="no space left"):
        channel.ask(channel.silos, JOIN)


def test_a_line_outlives_its_process_before_it_is_settled(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from federated.audit import Audit\n"
        "from federated.message import Message\n"
        "message = Message('ready', 'a', 7)\n"
        "Audit(Path(sys.argv[1])).write(message, message.to_bytes())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / AUDIT
    killed = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=240)
    assert killed.returncode == -9, killed.stderr
    assert verify(path)[0] == 1
    assert Audit(path).lines == 1
