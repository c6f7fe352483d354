"""What a version's number says of what changed."""

import json

import pytest

from framework.registry import register
from framework.registry.semantic import semantic_version
from framework.tracking import client
from tests.boards import board, tumours
from tests.framework.registry.conftest import KNOWN

SCHEMA = {"kind": "binary", "target": "churn", "classes": ["no", "yes"], "columns": {"age": "number", "town": "text"}}
CHAMPION = {
    "schema": json.dumps(SCHEMA),
    "data_digest": "d",
    "fingerprint": "f",
    "git_commit": "c",
    "lock_sha256": "l",
    "semantic_version": "2.3.4",
}


def schema(**changed) -> dict[str, str]:
    return {"schema": json.dumps({**SCHEMA, **changed})}


@pytest.mark.parametrize(
    ("changed", "number", "reason"),
    [
        ({}, "2.3.5", "same data, commit and schema, other settings or seed"),
        ({"fingerprint": "another seed's"}, "2.3.5", "same data"),
        ({"data_digest": "e"}, "2.4.0", "other data."),
        ({"git_commit": "d"}, "2.4.0", "other code."),
        ({"lock_sha256": "m", "data_digest": "e"}, "2.4.0", "other data and other code."),
        (schema(columns={"age": "number"}), "3.0.0", "other schema: without column town"),
        (schema(columns={"age": "text", "town": "text"}), "3.0.0", "age is a text, was a number"),
        (schema(columns={**SCHEMA["columns"], "rent": "number"}), "3.0.0", "new column rent"),
        (schema(classes=["no", "yes", "maybe"]), "3.0.0", "classes ['no', 'yes', 'maybe'], was ['no', 'yes']"),
    ],
)
def test_the_part_that_rises_says_what_changed(changed, number, reason):
    told, why = semantic_version({**CHAMPION, **changed}, CHAMPION)
    assert told == number
    assert why.startswith("Against champion 2.3.4: ")
    assert reason in why


def test_the_first_is_one_and_no_number_is_given_twice():
    assert semantic_version(CHAMPION, None) == ("1.0.0", "There was no champion to compare it with.")
    assert semantic_version(CHAMPION, None, ["1.0.0", "2.0.0"])[0] == "3.0.0"
    assert semantic_version(CHAMPION, CHAMPION, ["2.3.5", "2.3.6"])[0] == "2.3.7"


def test_a_champion_from_before_there_were_numbers_counts_as_the_first():
    before = {"fingerprint": "f", "git_commit": "c", "lock_sha256": "l"}
    assert semantic_version(CHAMPION, before)[0] == "1.0.1"
    assert semantic_version({**CHAMPION, "fingerprint": "g"}, before)[0] == "1.1.0"


def test_register_numbers_its_versions(store, good, poor):
    asked = {"target": "target", "name": "tumours", "kind": "binary"}
    table = tumours().iloc[:KNOWN]
    boards = [good, poor, board(table, seed=1, **asked), board(table.iloc[:300], **asked)]
    boards.append(board(table.drop(columns="mean area"), **asked))
    numbers = [
        register(each, "numbered", alias="" if place else "champion").semantic for place, each in enumerate(boards)
    ]
    assert numbers == ["1.0.0", "1.0.1", "1.0.2", "1.1.0", "2.0.0"]
    tags = client().get_model_version("numbered", "5").tags
    assert tags["semantic_version"] == "2.0.0"
    assert tags["semantic_reason"] == "Against champion 1.0.0: other schema: without column mean area."
