"""A sweep is begun anew or gone on with, never by mistake; also one whose population had not ended."""

from pathlib import Path

import pytest

from framework.sweep.ledger import Ledger
from framework.sweep.member import Member
from framework.sweep.start import StartError, start
from framework.sweep.trial import Trial

REPORT = {"step": 5, "loss": 0.4, "score": 0.9, "seconds": 2.0, "found": "{}", "goes_on": True}
LEFT = Member(1, 5, {"batch": 64}, {"batch": 64, "learning_rate": 0.002}, REPORT, b"weights\nof any bytes\x00")


def ledger(out: Path) -> Ledger:
    return Ledger.open(f"{out}/sweep/tuned/it", {"of": 1}, who="tuned/it")


def test_a_population_that_was_killed_before_any_member_ended_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="holds no trials of tuned/it"):
        start(str(tmp_path), "tuned/it", resume=True)
    ledger(tmp_path).leave(LEFT)
    with pytest.raises(StartError, match="holds 1 trials of an earlier sweep"):
        start(str(tmp_path), "tuned/it", resume=False)
    assert start(str(tmp_path), "tuned/it", resume=True).earlier == ()


def test_a_member_comes_back_as_it_was_left_and_one_cut_short_counts_as_none(tmp_path: Path) -> None:
    kept = ledger(tmp_path)
    kept.leave(LEFT)
    assert kept.members() == [LEFT] == [kept.member(1)]
    assert kept.member(0) is None
    whole = LEFT.pack()
    (tmp_path / "sweep/tuned/it/member-00002.bin").write_bytes(whole[:40])
    assert kept.members() == [LEFT]
    assert kept.member(2) is None


def test_the_best_model_comes_back_with_its_score_and_its_settings(tmp_path: Path) -> None:
    kept = ledger(tmp_path)
    assert kept.best() is None
    kept.keep(0, 0.7, {"engine": (("gamma", 1),)}, b"first")
    kept.keep(3, 0.8, {"engine": (("gamma", 2),)}, b"second")
    assert kept.best() == (0.8, {"engine": (("gamma", 2),)}, b"second")
    assert [path.name for path in (tmp_path / "sweep/tuned/it").glob("model-*")] == ["model-00003.tar"]
    kept.add(Trial(3, {}, "finished", 0.8))
    assert [trial.number for trial in kept.trials()] == [3]
