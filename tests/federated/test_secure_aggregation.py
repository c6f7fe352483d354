"""Sums that nobody learns the parts of: exact whoever drops out, and closed to whoever lies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federated import strategies
from federated.secure_aggregation.advert import Advert
from federated.secure_aggregation.collector import SumError
from federated.secure_aggregation.contribution import Contribution
from federated.secure_aggregation.fixed_point import FixedPoint, FixedPointError
from federated.secure_aggregation.keys import commitment, fresh
from federated.secure_aggregation.masks import BLOCK, add_mask
from federated.secure_aggregation.participant import Opened, Participant, WithdrawnError
from federated.secure_aggregation.rules import Rules, RulesError, threshold_of
from federated.secure_aggregation.shares import open_shares, split
from federated.secure_aggregation.summable import likes_of, summed_of, update_of
from federated.update import Update
from tests.federated.sums import STEPS, Circle, circle


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("dropped", [0, 1, 3])
def test_the_sum_is_exact_with_a_third_gone_at_any_step(step: str, dropped: int) -> None:
    ring = circle(10)
    gone = dict.fromkeys(ring.silos[:dropped], step)
    left = ring.there(gone, "masked")
    assert np.abs(ring.sum(gone) - ring.expected(left)).max() < 1e-4
    assert not ring.refused


@pytest.mark.parametrize(
    "steps", [("advert", "sealed", "masked"), ("masked", "consent", "opened"), ("sealed", "masked", "opened")]
)
def test_the_sum_is_exact_at_the_threshold_when_silos_go_one_after_the_other(steps: tuple[str, ...]) -> None:
    ring = circle(10)
    assert ring.rules.threshold == 7
    gone = dict(zip((ring.silos[0], ring.silos[5], ring.silos[9]), steps, strict=True))
    assert np.abs(ring.sum(gone) - ring.expected(ring.there(gone, "masked"))).max() < 1e-4


@pytest.mark.parametrize(("step", "words"), zip(STEPS, ("keys", "shares", "masked", "agreed", "to open"), strict=True))
def test_below_the_threshold_there_is_no_sum(step: str, words: str) -> None:
    ring = circle(10)
    with pytest.raises(SumError, match=rf"6 of 10 silos .*{words}.* and 7 are needed"):
        ring.sum(dict.fromkeys(ring.silos[2:6], step))


@given(st.lists(st.sampled_from(["", "", "", *STEPS]), min_size=3, max_size=9))
@settings(max_examples=25, deadline=None)
def test_whoever_drops_out_wherever_the_sum_is_right_or_there_is_none(steps: list[str]) -> None:
    ring = circle(len(steps))
    gone = {silo: step for silo, step in zip(ring.silos, steps, strict=True) if step}
    if len(ring.silos) - len(gone) < ring.rules.threshold:
        with pytest.raises(SumError):
            ring.sum(gone)
    else:
        assert np.abs(ring.sum(gone) - ring.expected(ring.there(gone, "masked"))).max() < 1e-4


def test_a_masked_vector_looks_like_noise() -> None:
    ring = circle(3)
    values = np.linspace(-200, 200, 50_000)
    vectors = []
    for session in (b"one", b"two"):
        parts = {silo: Participant(ring.identities[silo], session, ring.rules, values) for silo in ring.silos}
        adverts = {silo: part.advert() for silo, part in parts.items()}
        boxes = {silo: part.sealed(adverts) for silo, part in parts.items()}
        first = ring.silos[0]
        masked = parts[first].masked({silo: boxes[silo][first] for silo in ring.silos[1:]})
        vectors.append(masked.view("<i4").astype(float))
    for vector in vectors:  # six standard deviations of chance
        assert abs(np.corrcoef(vector, values)[0, 1]) < 6 / np.sqrt(len(values))
        assert np.bincount(((vector + 2**31) // 2**28).astype(int), minlength=16) == pytest.approx(3125, abs=6 * 55)
    assert abs(np.corrcoef(*vectors)[0, 1]) < 6 / np.sqrt(len(values))


@pytest.mark.parametrize(("threshold", "holders"), [(2, 3), (4, 5), (7, 10), (20, 30)])
def test_shares_open_to_what_pycryptodome_opens_them_to(threshold: int, holders: int) -> None:
    from Crypto.Protocol.SecretSharing import Shamir

    secrets = [fresh().private for _ in range(3)]
    shares = [split(secret, threshold, holders) for secret in secrets]
    rng = np.random.default_rng(threshold)
    for _ in range(3):
        chosen = [int(place) for place in rng.permutation(holders)[:threshold]]
        table = np.array([[list(of[place]) for place in chosen] for of in shares], dtype=np.uint8)
        assert open_shares([place + 1 for place in chosen], table) == secrets
        halves = [
            Shamir.combine([(place + 1, shares[0][place][side]) for place in chosen])
            for side in (slice(16), slice(16, 32))
        ]
        assert b"".join(halves) == secrets[0]
    few = np.array([[list(of[place]) for place in range(threshold - 1)] for of in shares], dtype=np.uint8)
    assert not set(open_shares(list(range(1, threshold)), few)) & set(secrets)


def test_a_mask_is_the_keystream_of_chacha20() -> None:
    from Crypto.Cipher import ChaCha20

    key = fresh().private
    for dtype in ("<u4", "<u8"):
        vector = np.full(BLOCK + 5, 9, dtype=dtype)
        add_mask(vector, key)
        stream = ChaCha20.new(key=key, nonce=bytes(8)).encrypt(bytes(vector.nbytes))
        np.testing.assert_array_equal(vector - np.full_like(vector, 9), np.frombuffer(stream, dtype=dtype))
        add_mask(vector, key, sign=-1)
        assert (vector == 9).all()


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50), st.sampled_from([1e-3, 1.0, 256.0, 1e9]))
@settings(max_examples=50, deadline=None)
def test_sums_in_fixed_point_are_exact_to_the_tolerance(shares: list[float], reach: float) -> None:
    point = FixedPoint.sized(len(shares), reach, tolerance=1e-4)
    values = np.array(shares) * reach
    with np.errstate(over="ignore"):
        total = np.add.reduce(point.encode(values), dtype=point.dtype)
    assert abs(float(point.decode(np.array([total]))[0]) - values.sum()) <= 1e-4 * (1 + 1e-9)


def test_the_ring_is_the_smallest_that_does_and_none_does_for_too_much() -> None:
    assert [FixedPoint.sized(silos, 256.0).bits for silos in (3, 20, 200)] == [32, 32, 64]
    with pytest.raises(
        FixedPointError, match=r"no ring of 64 bits holds the sum of 200 silos with values up to 1e\+15"
    ):
        FixedPoint.sized(200, 1e15)


@pytest.mark.parametrize(("value", "why"), [(np.nan, "not finite"), (np.inf, "not finite"), (300.0, "beyond 256")])
def test_a_silo_keeps_values_that_the_sum_has_no_room_for(value: float, why: str) -> None:
    ring = circle(3)
    values = np.array([1.0, value])
    with pytest.raises(WithdrawnError, match=f"silo 'owner 0' takes no part in this sum: .*{why}"):
        Participant(ring.identities["owner 0"], ring.session, ring.rules, values)


def test_keys_that_a_silo_has_not_signed_are_refused_on_both_sides() -> None:
    ring = circle(4)
    adverts = {silo: part.advert() for silo, part in ring.parts.items()}
    adverts["owner 2"] = replace(adverts["owner 2"], mask=fresh().public)  # somebody's between them
    assert "silo 'owner 2' sent keys that it has not signed" in ring.collector.take_adverts(adverts)["owner 2"]
    assert "owner 2" not in ring.collector.adverts
    with pytest.raises(WithdrawnError, match="'owner 0' withdraws: the keys of silo 'owner 2' are not signed by it"):
        ring.parts["owner 0"].sealed(adverts)
    with pytest.raises(WithdrawnError, match="out of turn"):
        ring.parts["owner 0"].masked({})


def test_keys_of_another_sum_are_refused() -> None:
    ring, other = circle(4), b"the round before"
    old = Participant(ring.identities["owner 1"], other, ring.rules, ring.values["owner 1"]).advert()
    adverts = {silo: part.advert() for silo, part in ring.parts.items()} | {"owner 1": old}
    assert "not signed for this sum" in ring.collector.take_adverts(adverts)["owner 1"]
    with pytest.raises(WithdrawnError, match="keys of silo 'owner 1' are not signed by it for this sum"):
        ring.parts["owner 3"].sealed(adverts)


def test_keys_that_hide_nothing_are_refused() -> None:
    ring = circle(4)
    adverts = {silo: part.advert() for silo, part in ring.parts.items()}
    seed = commitment(bytes(32), ring.session, "owner 1")
    weak = Advert.of(ring.identities["owner 1"], ring.session, seal=fresh().public, mask=bytes(32), seed=seed)
    adverts["owner 1"] = weak
    assert "hide nothing" in ring.collector.take_adverts(adverts)["owner 1"]
    with pytest.raises(WithdrawnError, match="the keys of silo 'owner 1' hide nothing"):
        ring.parts["owner 0"].sealed(adverts)


def test_a_silo_whose_own_keys_were_replaced_withdraws() -> None:
    ring = circle(4)
    adverts = {silo: part.advert() for silo, part in ring.parts.items()}
    again = Participant(ring.identities["owner 0"], ring.session, ring.rules, ring.values["owner 0"])
    with pytest.raises(WithdrawnError, match="its own keys are not among those"):
        ring.parts["owner 0"].sealed({**adverts, "owner 0": again.advert()})


def shared(silos: int = 4) -> tuple[Circle, dict[str, dict[str, bytes]]]:
    ring = circle(silos)
    ring.advertise(ring.silos)
    return ring, {silo: part.sealed(ring.collector.adverts) for silo, part in ring.parts.items()}


def test_a_share_for_oneself_is_refused_on_both_sides() -> None:
    ring, boxes = shared()
    boxes["owner 1"]["owner 1"] = boxes["owner 1"]["owner 0"]
    assert ring.collector.take_sealed(boxes) == {"owner 1": "silo 'owner 1' sent a share for itself."}
    given = {sender: held["owner 0"] for sender, held in boxes.items() if sender != "owner 0"}
    with pytest.raises(WithdrawnError, match="said to have sealed for itself"):
        ring.parts["owner 0"].masked({**given, "owner 0": given["owner 1"]})


def test_a_share_that_is_cut_short_is_refused_on_both_sides() -> None:
    ring, boxes = shared()
    boxes["owner 3"]["owner 0"] = boxes["owner 3"]["owner 0"][:-9]
    told = ring.collector.take_sealed(boxes)
    assert told == {"owner 3": "silo 'owner 3' sent 'owner 0' a share of 83 bytes, not 92."}
    given = {sender: held["owner 0"] for sender, held in boxes.items() if sender != "owner 0"}
    with pytest.raises(WithdrawnError, match="'owner 0' withdraws: the shares of silo 'owner 3' do not open"):
        ring.parts["owner 0"].masked(given)


def test_who_was_refused_is_named_where_too_few_are_left() -> None:
    ring, boxes = shared(3)
    boxes["owner 1"]["owner 2"] = b"short"
    with pytest.raises(
        SumError, match=r"2 of 3 silos sent shares, .*; silo 'owner 1' sent 'owner 2' a share of 5 bytes"
    ):
        ring.collector.take_sealed(boxes)


def test_a_share_that_was_changed_or_passed_to_another_does_not_open() -> None:
    for wrong in ("changed", "another's"):
        ring, boxes = shared()
        given = {sender: held["owner 0"] for sender, held in boxes.items() if sender != "owner 0"}
        box = bytearray(given["owner 2"])
        box[20] ^= 1
        given["owner 2"] = bytes(box) if wrong == "changed" else boxes["owner 2"]["owner 1"]
        with pytest.raises(WithdrawnError, match="the shares of silo 'owner 2' do not open"):
            ring.parts["owner 0"].masked(given)


@pytest.mark.parametrize(
    "wrong", [np.zeros(39, "<u4"), np.zeros((40, 1), "<u4"), np.zeros(40, "<f4"), np.zeros(40, "<u8")]
)
def test_a_vector_of_another_shape_is_refused_and_the_sum_is_of_the_others(wrong: np.ndarray) -> None:
    ring = circle(6)
    ring.advertise(ring.silos)
    ring.share(ring.silos)
    told = {silo: ring.parts[silo].masked(ring.collector.sealed_for(silo)) for silo in ring.silos}
    refused = ring.collector.take_masked({**told, "owner 4": wrong})
    assert "silo 'owner 4' sent a masked vector of" in refused["owner 4"]
    left = [silo for silo in ring.silos if silo != "owner 4"]
    ring.agree(left)
    assert np.abs(ring.open(left) - ring.expected(left)).max() < 1e-4


def test_a_coordinator_that_tells_silos_different_survivors_opens_nothing() -> None:
    ring = circle(9)
    ring.advertise(ring.silos)
    ring.share(ring.silos)
    ring.mask(ring.silos)
    with_all, without = ring.silos, ring.silos[1:]
    words = {silo: ring.parts[silo].consent(with_all) for silo in ring.silos[:4]}
    words |= {silo: ring.parts[silo].consent(without) for silo in ring.silos[4:]}
    for silo in ring.silos:
        with pytest.raises(WithdrawnError, match="somebody tells silos different ones"):
            ring.parts[silo].opened(words)
    assert all(not part._kept for part in ring.parts.values())


def test_too_few_signatures_open_nothing() -> None:
    ring = circle(9)
    ring.advertise(ring.silos)
    ring.share(ring.silos)
    ring.mask(ring.silos)
    ring.agree(ring.silos)
    few = dict(list(ring.collector.consents.items())[:5])
    with pytest.raises(WithdrawnError, match="5 silos agree on who is left, and 6 are needed"):
        ring.parts["owner 0"].opened(few)


def test_no_silo_gives_both_kinds_of_share_of_another() -> None:
    ring = circle(6)
    ring.sum({"owner 5": "masked"})
    for silo in ring.silos[:5]:
        with pytest.raises(WithdrawnError, match="second word on who is left"):
            ring.parts[silo].consent(ring.silos[1:5])
        with pytest.raises(WithdrawnError, match="out of turn"):
            ring.parts[silo].opened(ring.collector.consents)


def test_what_a_silo_opens_is_of_every_other_silo_and_of_one_kind() -> None:
    ring = circle(6)
    ring.advertise(ring.silos)
    ring.share(ring.silos)
    ring.mask(ring.silos[:5])
    ring.agree(ring.silos[:5])
    opened = ring.parts["owner 0"].opened(ring.collector.consents)
    assert (set(opened.seeds), set(opened.keys)) == (set(ring.silos[:5]), {"owner 5"})


def test_survivors_that_leave_a_silo_out_or_are_too_few_are_not_signed() -> None:
    for survivors, why in ((range(1, 6), "are not those"), (range(3), "3 silos are left, and 4 are needed")):
        ring = circle(6)
        ring.advertise(ring.silos)
        ring.share(ring.silos)
        ring.mask(ring.silos)
        with pytest.raises(WithdrawnError, match=why):
            ring.parts["owner 0"].consent([ring.silos[place] for place in survivors])


def test_who_sends_wrong_shares_is_found_while_there_are_enough_others() -> None:
    for left, found in ((6, True), (4, False)):
        ring = circle(6)
        ring.advertise(ring.silos)
        ring.share(ring.silos)
        ring.mask(ring.silos[1:])
        ring.agree(ring.silos[1:])
        told = {silo: ring.parts[silo].opened(ring.collector.consents) for silo in ring.silos[1:]}
        told = dict(list(told.items())[:left])
        wrong = told["owner 2"]
        told["owner 2"] = Opened({**wrong.seeds, "owner 3": bytes(32)}, wrong.keys)
        if found:
            total, refused = ring.collector.total(told)
            assert "silo 'owner 2' sent shares that do not open" in refused["owner 2"]
            assert np.abs(total - ring.expected(ring.silos[1:])).max() < 1e-4
        else:
            with pytest.raises(SumError, match="too few to tell who sent wrong ones"):
                ring.collector.total(told)


def test_a_silo_takes_part_in_no_sum_that_few_could_open() -> None:
    ring = circle(10)
    for rules in (
        replace(ring.rules, threshold=5),
        replace(ring.rules, silos=3, threshold=2),
        replace(ring.rules, silos=3, threshold=3),  # three of ten, asked in a corner
    ):
        with pytest.raises(WithdrawnError, match=r"'owner 0' takes part where [67] are needed"):
            Participant(ring.identities["owner 0"], ring.session, rules, ring.values["owner 0"])


def test_the_threshold_is_two_thirds_rounded_up_more_than_half_of_all_and_three() -> None:
    assert [threshold_of(silos, silos) for silos in (3, 4, 9, 10, 200)] == [3, 3, 6, 7, 134]
    assert threshold_of(6, 10) == 6
    registry = circle(10).identities["owner 0"].registry
    with pytest.raises(RulesError, match="5 of 10 take part"):
        Rules.of(5, registry, weight=1.0, nonce="x")
    with pytest.raises(RulesError, match="at least 3 silos"):
        Rules.of(2, dict(list(registry.items())[:2]), weight=1.0, nonce="x")


@pytest.mark.parametrize(
    "strategy",
    [
        strategies.FedAvg(),
        strategies.NormClipped(most=2.0),
        strategies.FedNova(),
        strategies.FineTuned(strategies.Averaged(strategies.FedNova())),
        strategies.Scaffold(),
        strategies.Scaffold(silos=9),
    ],
    ids=str,
)
def test_one_update_for_all_silos_makes_the_step_that_theirs_would(strategy: strategies.Strategy) -> None:
    rng = np.random.default_rng(3)
    weights = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=4)}
    server = strategy.start(lambda seed: weights)
    rules = Rules(3, 3, 50.0, "once", tolerance=1e-9)
    updates, vectors = [], []
    for silo, (rows, steps) in enumerate(((50.0, 3), (20.0, 11), (7.0, 5))):
        groups = {
            name: {layer: rng.normal(size=array.shape) for layer, array in weights.items()}
            for name in ("delta", "control")
        }
        updates.append(Update(str(silo), rows, steps, groups))
        delta, alike = summed_of(strategy, groups, steps)
        vectors.append(Contribution.of({}, delta, rows, alike).to_vector(rules))
    like, alike = likes_of(strategy, weights)
    mean = Contribution.mean(np.sum(vectors, axis=0), like, rules, alike=alike, silos=3)
    expected, made = strategy.combine(server, updates), strategy.combine(server, [update_of(strategy, mean, 3)])
    for name, array in expected.weights.items():
        np.testing.assert_allclose(made.weights[name], array, rtol=1e-12, atol=1e-12)
        assert np.abs(array - weights[name]).max() > 1e-3
    for name, arrays in expected.kept.items():
        for layer, array in arrays.items():
            np.testing.assert_allclose(made.kept[name][layer], array, rtol=1e-12, atol=1e-12)
