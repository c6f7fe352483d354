"""What rows may cost: fits add up in one ledger, and one too many is refused and charges nothing."""

from pathlib import Path

import pytest

from framework.privacy.accountant import PrivacyError, Spend, epsilon_of
from framework.privacy.allowance import Allowance
from framework.privacy.ledger import LEDGER, Charge, Ledger

DELTA = 1e-5
FIT = [("statistics", Spend(8.0)), ("training", Spend(6.0))]
COST = epsilon_of([spend for _, spend in FIT], DELTA)


def test_fits_add_up_until_one_is_too_many(tmp_path: Path) -> None:
    allowance = Allowance(str(tmp_path / "rows"), epsilon=1.7 * COST)
    allowance.check([spend for _, spend in FIT])
    assert not (tmp_path / "rows").exists()  # looking at what is left leaves nothing behind
    assert allowance.charge("private:mst", FIT) == pytest.approx(COST)
    twice = epsilon_of([spend for _, spend in FIT * 2], DELTA)
    assert COST < twice <= 1.7 * COST
    assert allowance.charge("private:mst", FIT) == pytest.approx(twice)
    for refused in (lambda: allowance.check([spend for _, spend in FIT]), lambda: allowance.charge("ar", FIT)):
        with pytest.raises(PrivacyError, match=rf"holds {twice:.3g}, and with this fit it would be .* allow more"):
            refused()
    charges = Ledger(tmp_path / "rows" / LEDGER).charges()
    assert [each.purpose for each in charges] == ["statistics", "training"] * 2
    assert len({each.job for each in charges}) == 2
    assert len({each.question for each in charges}) == 4


def test_what_others_charged_counts_and_what_is_long_ago_does_not(tmp_path: Path) -> None:
    with Ledger(tmp_path / LEDGER).writing() as held:
        held.charge(Charge(1e9, "federation", "training", "q", Spend(1.0, 0.2, 40)))  # in 2001
    ever = Allowance(str(tmp_path), epsilon=1.5 * COST)
    with pytest.raises(PrivacyError, match="these rows may cost ε"):
        ever.check([spend for _, spend in FIT])
    lately = Allowance(str(tmp_path), epsilon=1.2 * COST, days=30)
    assert lately.charge("private:ar", FIT) == pytest.approx(COST)
    with pytest.raises(PrivacyError, match="in 30 days"):
        lately.check([spend for _, spend in FIT])


def test_without_a_limit_costs_are_counted_all_the_same(tmp_path: Path) -> None:
    allowance = Allowance(str(tmp_path))
    told = [allowance.charge("private:mst", FIT) for _ in range(3)]
    assert told == sorted(told)
    assert told[2] == pytest.approx(epsilon_of([spend for _, spend in FIT * 3], DELTA))
