"""Ledgers: costs add up over fits and processes, and a change is noticed."""

import json
from pathlib import Path

import pytest

from framework.privacy.accountant import Spend, epsilon_of
from framework.privacy.ledger import Charge, Ledger
from framework.sealed import AuditError

DELTA = 1e-5


def test_a_ledger_adds_up_over_federations_and_processes_and_notices_changes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first, second = Ledger(path), Ledger(path)
    statistics, training = Spend(10.0, steps=3), Spend(2.0, 0.25, 8)
    with first.writing() as held:
        held.charge(Charge(1e9, "tuning", "statistics", "q1", statistics))
    with second.writing() as held:
        assert held.paid("q1")
        held.charge(Charge(2e9, "final", "training", "q2", training))
    whole = Ledger(path)
    assert [each.question for each in whole.charges()] == ["q1", "q2"]
    assert whole.epsilon(DELTA) == epsilon_of([statistics, training], DELTA)
    assert whole.epsilon(DELTA, job="tuning") == epsilon_of([statistics], DELTA)
    assert whole.epsilon(DELTA, days=30) == epsilon_of([training], DELTA)  # the other is of 2001
    lines = path.read_text().splitlines()
    assert json.loads(lines[0])["spend"]["noise"] == 10.0
    path.write_text(lines[0].replace("10.0", "99.0") + "\n" + lines[1] + "\n")
    with pytest.raises(AuditError, match="line 1"):
        Ledger(path)
