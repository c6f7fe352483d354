"""What a party may answer, and that anything else is refused by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.wire import Arrays
from federated.message import MAGIC, Message
from federated.vertical.links import Links, LostPartyError
from federated.vertical.owner import Owner
from federated.vertical.party import Link, Party
from federated.vertical.plan import PartyJob, Schedule, VerticalError
from federated.vertical.reach import Far, Near
from framework.contender import Context
from tests.federated.patients import NET, PARTIES, QUICK, federation, patients, people

Wrong = Callable[[Message], bytes]


def wrong(kind: str, made: Wrong) -> Callable[[str, Link], Link]:
    """The clinic answers messages of this kind by something else."""

    def wrapped(name: str, link: Link) -> Link:
        def answered(request: bytes) -> bytes:
            data = link(request)
            told = Message.from_bytes(data)
            return made(told) if (name, told.kind) == ("clinic", kind) else data

        return answered

    return wrapped


def embedded(array: Any) -> Wrong:
    return lambda told: replace(told, groups={"embedding": {"rows": array}}).to_bytes()


def disclosed(change: Callable[[Arrays], Arrays]) -> Wrong:
    return lambda told: replace(told, groups={"weights": change(told.groups["weights"])}).to_bytes()


def one_nan(weights: Arrays) -> Arrays:
    spoiled = weights["out.bias"].copy()
    spoiled[1] = np.nan
    return weights | {"out.bias": spoiled}


NONSENSE: list[tuple[str, Wrong, str]] = [
    ("embedding", embedded(np.full((32, 4), np.nan, np.float32)), r"not finite, .*: \(32, 4\), 128 of them"),
    ("embedding", embedded(np.ones((32, 5), np.float32)), r"of another shape: \(32, 5\), 0 of .* where \(32, 4\)"),
    ("embedding", embedded(np.ones((31, 4), np.float32)), r"of another shape: \(31, 4\)"),
    ("embedding", lambda told: replace(told, groups={"embedding": {}}).to_bytes(), "of another shape"),
    ("embedding", lambda told: replace(told, groups={}).to_bytes(), r"answered 'embed' with \[\], and \['embedding'\]"),
    ("embedding", lambda told: replace(told, facts={"y": [1]}).to_bytes(), r"with \['embedding', 'y'\]"),
    (
        "embedding",
        lambda told: replace(told, silo="laboratory").to_bytes(),
        "of 'laboratory', step 0, which is no answer",
    ),
    ("embedding", lambda told: replace(told, round=9).to_bytes(), "step 9, which is no answer"),
    ("embedding", lambda told: b"<html>", "answered 'embed' by what cannot be read: these 6 bytes"),
    ("embedding", lambda told: MAGIC + b"[]", "answered 'embed' by what cannot be read"),
    ("embedding", lambda told: told.to_bytes()[:-3], "answered 'embed' by what cannot be read: .*cut short"),
    ("ready", lambda told: replace(told, kind="prepared").to_bytes(), "answered 'keep' of step 0 by 'prepared'"),
    ("bottom", disclosed(one_nan), "disclosed a net whose 'out.bias' is not finite"),
]


@pytest.mark.parametrize(("kind", "made", "sentence"), NONSENSE)
def test_an_answer_that_is_none_is_refused_by_name(kind: str, made: Wrong, sentence: str) -> None:
    with pytest.raises(VerticalError, match=f"party 'clinic' .*{sentence}"):
        federation(patients().fold, wrapped=wrong(kind, made))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda weights: weights | {"out.bias": np.ones(9, np.float32)}, r"'out.bias' is \(9,\), and \(4,\) was asked"),
        (lambda weights: {name: part for name, part in weights.items() if name != "out.bias"}, "'out.bias' is None"),
        (lambda weights: weights | {"rows": np.ones((3, 3))}, r"'rows' is \(3, 3\), and None"),
    ],
)
def test_a_net_of_other_shapes_is_refused_by_name(
    change: Callable[[Arrays], Arrays], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Party.answer

    def changed(party: Party, request: bytes) -> bytes:
        told = Message.from_bytes(answer(party, request))
        return disclosed(change)(told) if (told.silo, told.kind) == ("clinic", "bottom") else told.to_bytes()

    monkeypatch.setattr(Party, "answer", changed)
    with pytest.raises(VerticalError, match=f"party 'clinic' disclosed a net of other shapes: {sentence}"):
        QUICK.fit(patients().fold, Context())


@pytest.mark.parametrize("part", ["answer", "own", "request"])
@pytest.mark.parametrize("told", [b"\xff" * 40, None])
def test_a_matching_that_is_none_is_refused_by_name(part: str, told: bytes | None) -> None:
    owner, _, parties = people(patients().fold)
    clinic = Party(parties[1])

    def answered(request: bytes) -> bytes:
        met = Message.from_bytes(clinic.answer(request))
        psi = {name: array for name, array in met.groups["psi"].items() if name != part}
        if told is not None:
            psi[part] = np.frombuffer(told, dtype=np.uint8)
        return replace(met, groups={"psi": psi}).to_bytes()

    with pytest.raises(VerticalError, match="party 'clinic' answered 'meet' by what is no part of a matching"):
        Links("owner", Near({"clinic": answered})).match("clinic", owner)


def test_a_party_that_knows_nothing_again_and_again_ends_the_fit() -> None:
    """It says so at each second batch, and lets itself be brought back each time."""

    def forgetful(told: Message) -> bytes:
        if told.round == 1:
            told = Message("failure", told.silo, told.round, {"type": "NotReadyError"})
        return told.to_bytes()

    with pytest.raises(LostPartyError, match=r"'clinic' was lost at 'embed': .*, which is once more than 3 times"):
        federation(patients().fold, wrapped=wrong("embedding", forgetful))


def test_a_party_keeps_its_last_two_states_and_a_successor_goes_on_from_either(tmp_path: Path) -> None:
    holding = people(patients().fold)[2][0]
    agreed = holding.ids[:40]
    job = PartyJob(tuple((name, "number") for name in PARTIES["laboratory"]), 1, NET)
    party = Party(holding, agreed=agreed, kept=tmp_path)

    def asked(party: Party, kind: str, step: int = 0, **parts: Any) -> Message:
        return Message.from_bytes(party.answer(Message(kind, "owner", step, **parts).to_bytes()))

    def step(party: Party, number: int) -> np.ndarray:
        rows = {"places": {"rows": np.arange(number, number + 5)}}
        told = asked(party, "embed", number, facts={"learning": True}, groups=rows).groups["embedding"]["rows"]
        assert asked(party, "descend", number, groups={"gradient": {"rows": np.ones_like(told)}}).kind == "ready"
        return told

    learn = {"places": {"learn": np.arange(40)}}
    assert asked(party, "prepare", facts={"job": job.to_facts()}, groups=learn).kind == "prepared"
    for number in range(3):
        step(party, number)
        assert asked(party, "keep", number).kind == "ready"
    after = [step(party, 3), step(party, 4)]
    for kept, numbers in ((2, (3, 4)), (1, (2, 3, 4))):
        successor = Party(holding, agreed=agreed, kept=tmp_path)
        assert asked(successor, "embed", 3, facts={"learning": True}, groups=learn).facts == {"type": "NotReadyError"}
        assert asked(successor, "restore", kept).kind == "ready"
        told = [step(successor, number) for number in numbers]
        assert np.array_equal(told[-2:], after)  # its optimizer's state too
    assert asked(Party(holding, agreed=agreed, kept=tmp_path), "restore", 0).facts == {"type": "UnkeptError"}
    assert asked(Party(holding, agreed=agreed), "restore", 2).facts == {"type": "NotReadyError"}


def test_gradients_travel_with_the_next_question_and_all_parties_are_asked_at_once() -> None:
    asked: list[list[str]] = []

    class Watched(Near):
        def ask(self, questions: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
            kinds = [[Message.from_bytes(request).kind for request in each] for each in questions.values()]
            assert all(each == kinds[0] for each in kinds)
            asked.append(kinds[0])
            return super().ask(questions)

    fold = patients().fold
    owner, answers, parties = people(fold)
    agreed = sorted(set(owner.ids).intersection(*(each.ids for each in parties)))
    jobs = {p.name: PartyJob(tuple((c.name, c.kind) for c in p.schema.columns), 2, NET) for p in parties}
    links = Links("owner", Watched({each.name: Party(each, agreed=agreed).answer for each in parties}))
    trained = Owner(owner, answers, links, jobs, agreed=agreed).train(
        NET, Schedule(2, 0, 32), metric="rmse", context=Context()
    )
    batches = -(-trained.learned // 32)
    epoch = [*[["descend", "embed"]] * batches, ["keep"]]  # the last gradients go with the rows to stop by
    assert asked[2:] == [["keep"], ["embed"], *epoch, ["embed"], *epoch, ["restore"], ["embed"], ["disclose"]]
    assert links.messages == 2 * 2 * (1 + sum(map(len, asked[2:])))


def test_a_host_is_asked_for_all_of_its_parties_by_one_call() -> None:
    calls: list[Mapping[str, Sequence[bytes]]] = []

    class Call:
        def remote(self, asked: Mapping[str, Sequence[bytes]], given: Mapping[str, list[Any]]) -> str:
            assert given == {party: [party] for party in asked}
            calls.append(asked)
            return f"call {len(calls)}"

    class Host:
        answers = Call()

    first, second = Host(), Host()
    far = Far({"a": first, "b": second, "c": first}, {name: [name] for name in "abc"})
    tickets = far.ask({"a": [b"1", b"2"], "b": [b"3"], "c": [b"4"]})
    assert calls == [{"a": [b"1", b"2"], "c": [b"4"]}, {"b": [b"3"]}]
    assert tickets == {"a": "call 1", "b": "call 2", "c": "call 1"}
