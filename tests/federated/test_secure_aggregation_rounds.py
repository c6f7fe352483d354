"""Federations whose coordinator learns sums alone."""

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from cluster.wire import Arrays
from federated import FederatedAverage, strategies
from federated.audit import verify
from federated.border import AUDIT, folder_name
from federated.channel import Direct, Ticket
from federated.exchange import FederationError
from federated.message import LEAVING, OPEN, SUMS, BoundaryError, Message
from federated.policy import Policy
from federated.privacy import Ledger, RecordLevel
from federated.rounds import Coordinator, Outcome, Terms
from federated.secure_aggregation.identity import found
from federated.secure_aggregation.rules import Rules
from federated.silo import Silo
from federated.strategies import StrategyError
from framework import Context
from framework.privacy.ledger import LEDGER
from tests.federated.portfolios import QUICK, filed, fold_of, held_federation, job_of, rents
from tests.federated.sums import Watched

TRANSFORMER = (("width", 8), ("blocks", 1), ("heads", 2))
ANSWERS = ("advert", "sealed", "masked", "consent", "unmasked")


def federation(channel: Direct, job: object, folder: Path, **terms: int) -> Outcome:
    return Coordinator(channel, job, Terms(**terms), folder).run()  # type: ignore[arg-type]


def secure_job(strategy: object, **settings: object) -> object:
    return job_of(strategy, secure=True, **settings)


def apart(a: Arrays, b: Arrays) -> float:
    assert set(a) == set(b)
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


SUMMED = [
    strategies.FedAvg(),
    strategies.FedAdam(),
    strategies.FedProx(),
    strategies.FedAvgM(),
    strategies.FedBN(),
    strategies.NormClipped(most=0.05),
    strategies.FedNova(),
    strategies.Scaffold(),
    strategies.Scaffold(silos=7),
]
PLAIN = {"optimizer": "sgd", "weight_decay": 0.0, "clip": 0.0, "rate": 0.05}  # what some of them take alone


@pytest.mark.parametrize("strategy", SUMMED, ids=lambda strategy: type(strategy).__name__)
def test_a_secure_federation_learns_what_an_open_one_does(strategy: object, tmp_path: Path) -> None:
    settings: dict[str, object] = {}
    if isinstance(strategy, strategies.FedBN):
        settings = {"net": "ft_transformer", "shape": TRANSFORMER}
    if isinstance(strategy, (strategies.FedNova, strategies.Scaffold)):
        settings = PLAIN
    job = job_of(strategy, rounds=3, **settings)
    table = rents()
    table = table.drop(index=table.index[table.owner == "owner 1"][20:])  # a silo that makes fewer steps
    plain = held_federation(job, tmp_path / "open", sources=filed(table))
    secure = federation(Watched(filed(table)), replace(job, secure=True), tmp_path / "secure")
    assert apart(plain.weights, secure.weights) < 1e-3
    assert secure.scores == pytest.approx(plain.scores, abs=1e-3)
    assert secure.rounds == plain.rounds
    assert secure.members == {}


def test_weights_of_rows_count_in_a_sum_as_they_do_in_a_mean(tmp_path: Path) -> None:
    table = rents()
    table = table.drop(index=table.index[table.owner == "owner 1"][20:])  # a silo with a third of the others' rows
    job = job_of(strategies.FedAvg(), rounds=2)
    plain = held_federation(job, tmp_path / "open", sources=filed(table))
    secure = federation(Watched(filed(table)), replace(job, secure=True), tmp_path / "secure")
    alike = held_federation(job, tmp_path / "alike", sources=filed(rents()))
    assert apart(plain.weights, secure.weights) < 1e-3
    assert apart(plain.weights, alike.weights) > 1e-3


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_silo_gone_at_any_step_is_named_and_the_round_counts(kind: str, tmp_path: Path) -> None:
    channel = Watched(filed(), gone={"owner 3": kind})
    outcome = federation(channel, secure_job(strategies.FedAvg(), rounds=3), tmp_path)
    told = [str(happening) for happening in outcome.happenings]
    assert told == ["round 2: silo 'owner 3' refused: it failed with PowerCut; its own log says why."]
    assert len(outcome.scores) == 4
    # In the sum of that round is who has sent a masked vector, and nobody else.
    in_the_sum = kind in ("consent", "unmasked")
    assert apart(outcome.weights, open_weights(leaves=not in_the_sum)) < 1e-3
    assert apart(outcome.weights, open_weights(leaves=in_the_sum)) > 1e-3


@cache
def open_weights(*, leaves: bool) -> Arrays:
    """Of the same federation in the open, with owner 3 or without it in the second round."""
    with TemporaryDirectory() as folder:
        channel = Leaving(filed()) if leaves else Direct(filed())
        return federation(channel, job_of(strategies.FedAvg(), rounds=3), Path(folder)).weights


class Leaving(Direct):
    """An open federation in which owner 3 sends no update in round 2."""

    def take(self, ticket: Ticket) -> bytes:
        told = Message.from_bytes(super().take(ticket))
        if (told.kind, told.silo, told.round) == ("update", "owner 3", 2):
            return Message("failure", told.silo, told.round, {"type": "PowerCut"}).to_bytes()
        return super().take(ticket)


@pytest.mark.parametrize(("kind", "words"), zip(ANSWERS, ("keys", "shares", "masked", "agreed", "open"), strict=True))
def test_below_the_threshold_the_federation_ends_and_says_why(kind: str, words: str, tmp_path: Path) -> None:
    channel = Watched(filed(), gone={"owner 1": kind, "owner 4": kind})
    with pytest.raises(FederationError, match=rf"round 2: 3 of 5 silos .*{words}.*4 are needed .*owner 1: it failed"):
        federation(channel, secure_job(strategies.FedAvg(), rounds=3), tmp_path)


def test_a_secure_federation_cut_off_in_a_round_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    job = secure_job(strategies.FedAdam(), rounds=3, keep=True, optimizer="adamw")
    whole = federation(Watched(filed()), job, tmp_path / "whole")
    for cut in ("share", "unmask"):
        channel = Watched(filed())
        channel.cut = cut
        with pytest.raises(KeyboardInterrupt):
            federation(channel, job, tmp_path / cut)
        channel.cut = ""
        outcome = federation(channel, job, tmp_path / cut)
        assert apart(whole.weights, outcome.weights) < 1e-3
        assert outcome.scores == pytest.approx(whole.scores, abs=1e-3)


def test_a_private_round_that_is_summed_anew_is_not_paid_for_anew(tmp_path: Path) -> None:
    job = replace(
        secure_job(strategies.FedAvg(), rounds=2, batch=1000),  # type: ignore[type-var]
        privacy=RecordLevel(8.0, statistics=0.0),
    )
    channel = Watched(filed(), tmp_path / "silos")
    channel.cut = "unmask"
    with pytest.raises(KeyboardInterrupt):
        federation(channel, job, tmp_path)
    channel.cut = ""
    outcome = federation(channel, job, tmp_path)
    assert all(np.isfinite(array).all() for array in outcome.weights.values())
    charges = Ledger(tmp_path / "silos" / folder_name("owner 0") / LEDGER).charges()
    assert [(charge.purpose, charge.spend.steps) for charge in charges] == [("training", 1)] * 2


def test_a_round_that_has_been_summed_is_not_summed_again_without_one_silo(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    channel = Watched(filed(), in_round=1)
    coordinator = Coordinator(channel, secure_job(strategies.FedAvg(), rounds=1), Terms(), tmp_path)  # type: ignore[arg-type]
    coordinator.run()
    channel.gone = {"owner 2": "masked"}
    coordinator._done = 0
    with caplog.at_level(logging.WARNING), pytest.raises(FederationError, match="both sums together would tell"):
        coordinator._round()
    assert "silo 'owner 0' withdraws: round 1 has been summed before, of other silos" in caplog.text
    channel.gone = {}
    coordinator._round()  # of the same silos it tells nothing new


def canaries(table: pd.DataFrame) -> list[float]:
    """Rows planted in every silo, of values that nothing else has."""
    planted: list[float] = []
    for place, owner in enumerate(sorted(table.owner.unique())):
        row = table.index[table.owner == owner][7]
        size = 91.0 + np.pi * (place + 1)
        table.loc[row, ["size", "age", "rent"]] = [size, 33.0 + np.e / (place + 1), 700.0 + np.sqrt(place + 2)]
        table.loc[row, "kind"] = f"canary {place}"
        planted += table.loc[row, ["size", "age", "rent"]].to_list()
    return planted


@pytest.mark.parametrize("secure", [False, True], ids=["open", "secure"])
def test_no_planted_row_and_in_a_secure_job_no_single_update_is_in_any_byte_received(
    secure: bool, tmp_path: Path
) -> None:
    table = rents()
    planted = canaries(table)
    job = job_of(strategies.FineTuned(strategies.FedAdam(), epochs=2), rounds=2)
    seen = Watched(filed(table), secure=False)
    federation(seen, job, tmp_path / "seen")
    updates = [
        told for data in seen.received if (told := Message.from_bytes(data)).kind == "update" and told.round == 1
    ]
    assert len(updates) == 5
    channel = Watched(filed(table), tmp_path / "silos")
    federation(channel, replace(job, secure=secure), tmp_path / "federation")
    received = b"".join(channel.received)
    assert b"canary" not in received
    for value in planted:
        for dtype in ("<f8", "<f4"):
            assert np.array([value], dtype=dtype).tobytes() not in received
        assert repr(float(value)).encode() not in received
    weight = max(update.facts["rows"] for update in updates)
    point = Rules(5, 4, weight, "").fixed_point
    for update in updates:
        for array in filter(np.any, update.groups["delta"].values()):
            assert (array.tobytes() in received) != secure
            shared = (update.facts["rows"] / weight * array.astype(np.float64)).ravel()
            whole = point.encode(shared)
            assert not whole.any() or whole.tobytes() not in received
        assert (repr(update.facts["valid_loss"]).encode() in received) != secure
    kinds = {Message.from_bytes(data).kind for data in channel.received}
    assert kinds <= set(LEAVING)
    assert bool(kinds & OPEN) != secure
    assert (set(SUMS) <= kinds) == secure
    for silo in channel.silos:
        lines, _ = verify(tmp_path / "silos" / folder_name(silo) / AUDIT)
        assert lines == sum(Message.from_bytes(data).silo == silo for data in channel.received)


@pytest.mark.parametrize(
    "strategy",
    [
        strategies.Krum(),
        strategies.Median(),
        strategies.TrimmedMean(),
        strategies.IFCA(),
        strategies.FineTuned(strategies.Krum()),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_strategies_that_look_at_single_updates_are_refused(strategy: object) -> None:
    with pytest.raises(
        StrategyError, match=r"needs each silo's own update, .* Take one of Averaged, Ditto, .*, or secure=False"
    ):
        secure_job(strategy)


def test_norms_that_are_clipped_at_their_median_are_refused() -> None:
    with pytest.raises(StrategyError, match=r"clips at the median of all updates' norms, .* Give most"):
        secure_job(strategies.NormClipped())


def test_a_silo_without_a_key_takes_no_part_in_a_secure_job(tmp_path: Path) -> None:
    sources = filed()
    channel = Direct(sources, None, found(source.name for source in sources[:4]))
    outcome = federation(channel, secure_job(strategies.FedAvg(), rounds=1), tmp_path)
    told = [str(happening) for happening in outcome.happenings]
    assert told == [
        "round 0: silo 'owner 4' refused: silo 'owner 4' has no key to sign with, which secure aggregation needs."
    ]
    assert "owner 4" not in outcome.rows


def test_two_silos_are_too_few_to_hide_in(tmp_path: Path) -> None:
    with pytest.raises(
        FederationError, match=r"round 0: secure aggregation needs at least 3 silos .* 2 of 2 take part"
    ):
        federation(Watched(filed(rents(silos=2))), secure_job(strategies.FedAvg()), tmp_path)


def test_a_sum_is_of_more_than_half_of_the_silos_that_know_one_another(tmp_path: Path) -> None:
    sources = [
        replace(source, policy=Policy(most_rounds=0) if place > 2 else Policy())
        for place, source in enumerate(filed(rents(silos=6)))
    ]
    with pytest.raises(FederationError, match="3 of 6 take part"):
        federation(Watched(sources), secure_job(strategies.FedAvg()), tmp_path)


def test_an_update_that_is_not_finite_stays_in_its_silo_and_the_round_counts(tmp_path: Path) -> None:
    job = secure_job(strategies.FedAvg(), rounds=1)
    channel = Watched(filed())
    coordinator = Coordinator(channel, job, Terms(), tmp_path)  # type: ignore[arg-type]
    coordinator.run()
    bench = channel._silos["owner 2"]._bench
    assert bench is not None
    bench.train.answers.fill_(np.nan)
    coordinator._round()
    told = [str(happening) for happening in coordinator._exchange.happenings]
    assert len(told) == 1
    assert "silo 'owner 2' refused: silo 'owner 2' takes no part in this sum: its part holds values" in told[0]


@pytest.mark.parametrize("kind", ["personal", "train"])
def test_a_silo_of_a_secure_job_tells_nothing_of_itself_alone(kind: str, tmp_path: Path) -> None:
    channel = Watched(filed())
    outcome = federation(channel, secure_job(strategies.FedAvg(), rounds=1), tmp_path)
    asked = Message(kind, round=2, groups={"weights": outcome.weights})  # without the rules of a sum
    answer = Message.from_bytes(channel._silos["owner 0"].answer(asked.to_bytes()))
    assert answer.kind == "failure"
    assert answer.groups == {}


def test_arrays_that_are_no_part_of_a_sum_do_not_leave() -> None:
    shapes = {"w": (4,)}
    Message("masked", "a", groups={"masked": {"vector": np.zeros(7, "<u4")}}).check_leaving(shapes)
    for kind, group, array in (
        ("masked", "masked", np.zeros(8, "<u4")),
        ("masked", "masked", np.zeros(7, "<f4")),
        ("advert", "keys", np.zeros(65, "<u1")),
        ("unmasked", "seeds", np.zeros(64, "<u1")),
        ("sealed", "sealed", np.zeros((2, 92), "<u1")),
    ):
        with pytest.raises(BoundaryError, match="may not leave silo 'a'"):
            Message(kind, "a", groups={group: {"vector": array}}).check_leaving(shapes)
    with pytest.raises(BoundaryError, match="its job is secure"):
        Message("update", "a", groups={"delta": {"w": np.zeros(4)}}).check_leaving(shapes, secure=True)


def test_steps_of_a_sum_are_no_questions_to_a_silo_without_a_key() -> None:
    silo = Silo(filed()[0])
    for kind in ("share", "mask", "consent", "unmask"):
        assert Message.from_bytes(silo.answer(Message(kind).to_bytes())).facts == {"type": "UnknownQuestionError"}


def test_the_contender_trains_in_secret_and_says_what_stays(tmp_path: Path) -> None:
    fold, X = fold_of()
    remarks: list[str] = []
    made = FederatedAverage(**{**QUICK, "rounds": 2, "secure": True})  # type: ignore[arg-type]
    model = made.fit(fold, Context(teller=remarks.append, folder=tmp_path))
    assert any("weights fitted to single silos stay with them" in remark for remark in remarks)
    assert model.members == {}
    assert np.isfinite(model.predict(X)).all()
