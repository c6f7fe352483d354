"""With whom a silo grows trees under masks: keys that are signed, used once, and never the same trees with others."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federated.message import BoundaryError, Message
from federated.secure_aggregation.advert import as_array
from federated.secure_aggregation.identity import Identity, found
from federated.secure_aggregation.keys import fresh
from federated.secure_aggregation.participant import WithdrawnError
from federated.trees.circle import KEYS, NOTHING, SIGNATURES, Circle

SILOS = ("north", "south", "west", "east")
IDENTITIES = found(SILOS)


def circles(names: tuple[str, ...] = SILOS) -> dict[str, Circle]:
    return {name: Circle(IDENTITIES[name], "run") for name in names}


def asked(made: Mapping[str, Circle], first: int = 0, *, trees: int = 3, watching: tuple[str, ...] = SILOS) -> Message:
    """The question of a session, to these silos. watching: those with rows to stop by."""
    told = {name: each.enrol(first, f"certificate of {name}", watches=name in watching) for name, each in made.items()}
    facts = {
        "ranks": {name: rank for rank, name in enumerate(told)},
        "certificates": [f"certificate of {name}" for name in told],
        "first": first,
        "trees": trees,
        "watched": len(watching) >= 3,
        "watching": [name for name in watching if name in told],
    }
    groups = {group: {name: each[part] for name, each in told.items()} for group, part in PARTS}
    return Message("grow", round=first, facts=facts, groups=groups)


PARTS = ((KEYS, "key"), (SIGNATURES, "signature"))


def test_each_two_silos_have_a_secret_of_this_session_alone() -> None:
    made = circles()
    seen: set[bytes] = set()
    for _ in range(2):
        question = asked(made)
        met = {name: each.meet(question, NOTHING) for name, each in made.items()}
        assert len({session for session, _ in met.values()}) == 1
        secrets = {frozenset((name, other)): key for name, (_, keys) in met.items() for other, key in keys.items()}
        assert len(set(secrets.values())) == len(secrets) == 6
        for name, (_, keys) in met.items():
            assert all(secrets[frozenset((name, other))] == key for other, key in keys.items())
        assert not seen & set(secrets.values())
        seen |= set(secrets.values())


def test_silos_that_are_asked_differently_have_nothing_in_common() -> None:
    made = circles()
    question = asked(made)
    other = replace(question, facts={**question.facts, "address": "elsewhere"})
    north, south = made["north"].meet(question, NOTHING)[1], made["south"].meet(other, NOTHING)[1]
    assert north["south"] != south["north"]


def changed(group: str, silo: str, part: np.ndarray) -> Callable[[Message], Message]:
    return lambda told: replace(told, groups={**told.groups, group: {**told.groups[group], silo: part}})


def stated(**facts: Any) -> Callable[[Message], Message]:
    return lambda told: replace(told, facts={**told.facts, **facts})


def without(silo: str) -> Callable[[Message], Message]:
    return lambda told: replace(
        told, groups={g: {n: a for n, a in p.items() if n != silo} for g, p in told.groups.items()}
    )


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (changed(KEYS, "south", as_array(fresh().public)), "the keys of silo 'south' are not signed by it"),
        (changed(SIGNATURES, "south", as_array(bytes(64))), "the keys of silo 'south' are not signed by it"),
        (changed(KEYS, "north", as_array(fresh().public)), "its own keys, as it said them last, are not among those"),
        (stated(watching=["north", "south", "west"]), "the keys of silo 'east' are not signed by it"),
        (stated(certificates=["certificate of north"] * 4), "the keys of silo 'east' are not signed by it"),
        (stated(first=1), "the keys of silo .* are not signed by it for this session"),
        (stated(ranks={"north": 0}), "its own keys, as it said them last, are not among those"),
        (without("south"), "its own keys, as it said them last, are not among those"),
    ],
)
def test_a_coordinator_that_changes_what_silos_said_is_found_out(lie: Callable[[Message], Message], words: str) -> None:
    made = circles()
    with pytest.raises(WithdrawnError, match=f"silo 'north' withdraws: .*{words}"):
        made["north"].meet(lie(asked(made)), NOTHING)


def test_a_silo_that_the_coordinator_makes_up_is_found_out() -> None:
    made = circles(("north", "south"))
    strangers = found(("west", "east"))
    made |= {
        name: Circle(Identity(name, strangers[name].key, IDENTITIES["north"].registry), "run") for name in strangers
    }
    with pytest.raises(WithdrawnError, match=r"the keys of silo '(west|east)' are not signed by it"):
        made["north"].meet(asked(made), NOTHING)


def test_keys_are_good_for_one_session() -> None:
    made = circles()
    question = asked(made)
    made["north"].meet(question, NOTHING)
    with pytest.raises(WithdrawnError, match="its own keys, as it said them last"):
        made["north"].meet(question, NOTHING)
    asked(made)
    with pytest.raises(WithdrawnError, match="its own keys, as it said them last"):
        made["south"].meet(question, NOTHING)


@pytest.mark.parametrize("names", [("north", "south"), ("north",)])
def test_below_the_threshold_no_silo_takes_part(names: tuple[str, ...]) -> None:
    made = circles(names)
    with pytest.raises(WithdrawnError, match=rf"at least 3 silos .* {len(names)} of 4 take part"):
        made["north"].meet(asked(made), NOTHING)


def test_an_error_of_fewer_than_three_silos_is_not_told() -> None:
    made = circles()
    question = stated(watched=True)(asked(made, watching=("north", "west")))
    with pytest.raises(WithdrawnError, match=r"2 silo\(s\) have rows to stop by"):
        made["north"].meet(question, NOTHING)
    made["north"].meet(asked(made, watching=("north", "west")), NOTHING)  # without that error


def test_trees_are_begun_again_with_the_same_silos_or_not_at_all() -> None:
    made = circles()
    question = asked(made, 0)
    made["north"].meet(question, NOTHING)
    fewer = {name: each for name, each in made.items() if name != "east"}
    made["north"].meet(asked(fewer, 0), NOTHING)  # nothing had left it
    question = asked(made, 0)
    made["north"].meet(question, NOTHING)
    made["north"].begun(question)
    for first, trees in ((0, 3), (0, 1), (2, 5)):
        made["north"]._boosters[first] = NOTHING
        with pytest.raises(WithdrawnError, match=rf"tree {first} has been begun before, with other silos than now"):
            made["north"].meet(asked(fewer, first, trees=trees), NOTHING)
    made["north"].meet(asked(made, 0), NOTHING)
    made["north"].meet(asked(fewer, 3), NOTHING)  # the next trees go on without the one that is lost


def test_trees_are_grown_from_the_booster_that_the_silo_has_helped_to_grow() -> None:
    made = circles()
    with pytest.raises(WithdrawnError, match="the booster of 0 trees is not the one that it helped to grow"):
        made["north"].meet(asked(made), "made up")
    made["north"].ended(3, "three trees")
    with pytest.raises(WithdrawnError, match="the booster of 3 trees is not the one"):
        made["north"].meet(asked(made, 3), "made up")
    made["north"].meet(asked(made, 3), "three trees")


def test_no_array_but_keys_leaves_with_an_enrolment() -> None:
    facts = {"certificate": "", "watches": True}
    Message("enrolled", "north", 0, facts, {"keys": {"key": as_array(bytes(32))}}).check_leaving(secure=True)
    for array in (np.zeros(8), as_array(bytes(65))):
        with pytest.raises(BoundaryError, match="may not leave silo 'north'"):
            Message("enrolled", "north", 0, facts, {"keys": {"key": array}}).check_leaving(secure=True)
