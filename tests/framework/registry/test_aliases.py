"""Aliases move one change at a time, each with its line in a history that nothing is lost from."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from framework.registry import RegistryError, archive, history, register, rollback, versions
from framework.registry.aliases import move
from framework.registry.exclusive import SIGN, alone, person
from framework.tracking import client

ROOT = Path(__file__).parents[3]


def aliases(name: str) -> dict[str, int]:
    return {alias: int(each) for alias, each in client().get_registered_model(name).aliases.items()}


@pytest.fixture
def three(store, request, poor) -> str:
    """A name of its own for each test with three versions that were champion in turn."""
    name = request.node.name
    for _ in range(3):
        register(poor, name)
    return name


def test_rollback_goes_back_one_champion_at_a_time_and_says_when_there_is_none(three):
    assert str(rollback(three, why="it drifts")).startswith("champion: version 3 → version 2, rolled back by ")
    assert aliases(three) == {"champion": 2, "archived": 3}
    assert rollback(three).after == 1
    with pytest.raises(RegistryError, match=f"{three!r} has no champion before version 1: there is nothing to go back"):
        rollback(three)
    register_again = history(three).changes
    assert [(each.before, each.after, each.why) for each in register_again if each.act == "rolled back"] == [
        (3, 2, "it drifts"),
        (None, 3, "it drifts"),
        (2, 1, ""),
        (3, 2, ""),
    ]


def test_after_a_rollback_the_one_that_failed_is_not_gone_back_to(three, poor):
    rollback(three)
    register(poor, three)
    assert rollback(three).after == 2


def test_rollback_knows_champions_that_were_set_by_other_means_and_skips_deleted_ones(three):
    client().set_registered_model_alias(three, "champion", "1")
    assert rollback(three).after == 3
    client().delete_model_version(three, "2")
    assert rollback(three).after == 1


def test_a_version_that_never_was_champion_is_archived_and_no_challenger_any_more(three, poor):
    register(poor, three, alias="challenger")
    change = archive(three, 4, why="it was slow")
    assert (change.alias, change.after, change.why) == ("archived", 4, "it was slow")
    assert aliases(three) == {"champion": 3, "archived": 4}
    with pytest.raises(RegistryError, match="is archived already"):
        archive(three, 4)
    with pytest.raises(RegistryError, match=r"version 3 of .* is its champion"):
        archive(three, 3)
    with pytest.raises(RegistryError, match=r"has no version 9\. Its versions: 1, 2, 3, 4"):
        archive(three, 9)


def test_the_history_tells_who_and_when_and_prints_as_a_table(three):
    told = history(three)
    assert len(told) == 3
    assert [(each.alias, each.before, each.after) for each in told.changes] == [
        ("champion", None, 1),
        ("champion", 1, 2),
        ("champion", 2, 3),
    ]
    assert {each.who for each in told.changes} == {person()}
    assert re.fullmatch(r"\S+@\S+", person())
    assert [each.when for each in told.changes] == sorted(each.when for each in told.changes)
    assert str(told).splitlines()[0] == f"{three}: 3 changes"
    assert "<td>champion</td><td>2</td><td>3</td>" in told._repr_html_()
    assert told.to_json()[0]["act"] == "registered"


def test_a_reason_cannot_smuggle_markup_into_the_history(three):
    rollback(three, why="<script>alert(1)</script>")
    assert "<script>" not in history(three)._repr_html_()


def test_an_account_of_the_server_is_told_beside_the_machines_user(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    assert re.fullmatch(r"ann \(\S+@\S+\)", person())


def test_a_change_is_refused_when_somebody_else_was_quicker(three):
    with pytest.raises(RegistryError, match="is version 3 now, and was version 1 a moment ago: somebody else"):
        move(client(), three, {"champion": 2}, act="promoted", expected={"champion": 1})
    assert aliases(three) == {"champion": 3}
    assert len(history(three)) == 3


CODE = """
import sys
from framework.registry import RegistryError
from framework.registry.aliases import move
from framework.tracking import client
name, first, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
api = client()
for turn in range(10):
    move(api, name, {f"alias{own}": 1 + turn % 2}, act="promoted", why=f"{own} turn {turn}")
sys.stdin.readline()
try:
    move(api, name, {"champion": own}, act="promoted", expected={"champion": first})
    print("won")
except RegistryError as error:
    print(error)
"""


def test_two_processes_at_once_lose_no_line_and_only_one_follows_a_champion(three, store):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": store}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, three, "3", str(own)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in (1, 2)
    ]
    for each in both:
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [each.communicate(timeout=240)[0].strip() for each in both]
    assert all(each.returncode == 0 for each in both)
    assert sorted(each == "won" for each in told) == [False, True]
    assert "somebody else has changed it" in next(each for each in told if each != "won")
    changes = history(three).changes
    for own in (1, 2):
        mine = [each for each in changes if each.alias == f"alias{own}"]
        assert [each.why for each in mine] == [f"{own} turn {turn}" for turn in range(10)]
    assert len([each for each in changes if each.alias == "champion"]) == 4
    assert not [key for key in client().get_registered_model(three).tags if key.startswith(SIGN)]


def test_who_holds_a_model_is_named_to_those_who_waited(three):
    api = client()
    api.set_registered_model_tag(three, f"{SIGN}other", "ann@elsewhere")
    with pytest.raises(RegistryError, match="ann@elsewhere is changing"), alone(api, three, patience=0.1):
        pass
    tags = api.get_registered_model(three).tags
    assert [key for key in tags if key.startswith(SIGN)] == [f"{SIGN}other"]


def test_the_sign_of_a_process_that_died_is_cleared_away(three, monkeypatch):
    monkeypatch.setattr("framework.registry.exclusive.DEAD_SECONDS", 0.3)
    api = client()
    api.set_registered_model_tag(three, f"{SIGN}dead", "ann@elsewhere")
    with alone(api, three):
        assert len([key for key in api.get_registered_model(three).tags if key.startswith(SIGN)]) == 1
    assert [each.version for each in versions(three)] == [3, 2, 1]


def test_threads_hold_each_other_off(three):
    inside, most = [], []

    def enter() -> None:
        with alone(client(), three):
            inside.append(1)
            most.append(len(inside))
            client().get_registered_model(three)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_an_alias_waits_for_who_is_at_it(three):
    api = client()
    moving = threading.Thread(target=lambda: move(client(), three, {"champion": 1}, act="promoted"))
    with alone(api, three):
        moving.start()
        while not [key for key in api.get_registered_model(three).tags if key.startswith(SIGN)][1:]:
            assert moving.is_alive(), "it did not wait"
        assert aliases(three) == {"champion": 3}
        assert len(history(three)) == 3
    moving.join()
    assert aliases(three) == {"champion": 1}
