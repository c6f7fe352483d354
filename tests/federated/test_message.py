"""The wire, the list of what may leave, and the audit file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cluster.wire import WireError
from federated.audit import Audit, AuditError, verify
from federated.message import LEAVING, BoundaryError, Message


@given(
    arrays(st.sampled_from(["<f4", "<f8", ">f8", "<i8", "|b1", "<u2"]), array_shapes(min_dims=0, min_side=0)),
    st.text(max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_a_message_comes_back_as_it_was_sent(array: np.ndarray, name: str) -> None:
    sent = Message("update", "silo ä", 3, {"rows": 2.5}, {"delta": {name: array}, "control": {}})
    data = sent.to_bytes()
    back = Message.from_bytes(data)
    assert (back.kind, back.silo, back.round, back.facts) == ("update", "silo ä", 3, {"rows": 2.5})
    assert list(back.groups) == ["delta", "control"]
    np.testing.assert_array_equal(back.groups["delta"][name], array)
    assert back.groups["delta"][name].shape == array.shape
    assert back.to_bytes() == data


def test_what_is_cut_short_or_added_to_is_no_message() -> None:
    data = Message("update", groups={"delta": {"w": np.arange(4.0)}}).to_bytes()
    for wrong in (data[:-1], data + b"x", data[3:], b""):
        with pytest.raises(ValueError, match="message"):
            Message.from_bytes(wrong)


def test_a_shape_below_nothing_is_no_message() -> None:
    data = Message("update", groups={"delta": {"v": np.arange(2.0), "w": np.arange(2.0)}}).to_bytes()
    with pytest.raises(ValueError, match="message"):
        Message.from_bytes(data.replace(b"[2]", b"[-2]", 1))


def test_only_numbers_cross() -> None:
    with pytest.raises(WireError, match="only numbers cross"):
        Message("update", groups={"delta": {"w": np.array(["a row"])}}).to_bytes()
    data = Message("update", groups={"delta": {"w": np.arange(2.0)}}).to_bytes().replace(b"<f8", b"|O8")
    with pytest.raises(ValueError, match="only numbers cross"):
        Message.from_bytes(data)


def test_nothing_leaves_that_is_not_on_the_list() -> None:
    shapes = {"w": (2,)}
    Message("update", "a", facts={"rows": 3.0}, groups={"delta": {"w": np.zeros(2)}}).check_leaving(shapes)
    for wrong in (
        Message("rows", "a"),
        Message("update", "a", facts={"rows": 3.0, "names": ["Ann"]}),
        Message("update", "a", groups={"rows": {"w": np.zeros(2)}}),
        Message("update", "a", groups={"delta": {"w": np.zeros((50, 2))}}),
        Message("update", "a", groups={"delta": {"v": np.zeros(2)}}),
    ):
        with pytest.raises(BoundaryError, match="may not leave silo 'a'"):
            wrong.check_leaving(shapes)
    assert "rows" not in LEAVING


def written(folder: Path, lines: int = 3) -> Path:
    audit = Audit(folder / "audit.jsonl")
    for number in range(lines):
        message = Message("update", "a", number, {"rows": 3.0}, {"delta": {"w": np.full(4, float(number))}})
        audit.record(message, message.to_bytes())
    return folder / "audit.jsonl"


def test_an_audit_file_names_sizes_and_shapes_but_no_value(tmp_path: Path) -> None:
    path = written(tmp_path)
    line = json.loads(path.read_text().splitlines()[1])
    sent = Message("update", "a", 1, {"rows": 3.0}, {"delta": {"w": np.full(4, 1.0)}}).to_bytes()
    assert line["bytes"] == len(sent)
    assert line["arrays"] == {"delta": {"w": [4]}}
    assert line["facts"] == ["rows"]
    assert path.stat().st_mode & 0o077 == 0


def test_an_audit_file_is_gone_on_with(tmp_path: Path) -> None:
    path = written(tmp_path)
    message = Message("refusal", "a", 9, {"reason": "too few rows"})
    Audit(path).record(message, message.to_bytes())
    assert verify(path)[0] == 4
    assert json.loads(path.read_text().splitlines()[-1])["reason"] == "too few rows"


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_is_found(tmp_path: Path, line: int) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    lines[line] = lines[line].replace('"rows"', '"none"', 1)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(AuditError, match=f"line {line + 1}"):
        verify(path)
    with pytest.raises(AuditError):
        Audit(path)


def test_a_line_taken_out_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(AuditError, match="line 2"):
        verify(path)
