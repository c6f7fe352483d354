"""The drawing of an explanation: each bar begins where the one before has ended, and the last ends at the answer."""

from typing import Any

import pytest

from framework.serving.page.waterfall import SHOWN, waterfall


def told(added: dict[str, float], base: float = 1.0) -> dict[str, Any]:
    first = {"prediction": {"y": base + sum(added.values())}, "contributions": {"y": added}}
    return {"how": "exact", "space": "value", "base": {"y": base}, "explanations": [first], "warnings": ["slow"]}


def test_bars_lead_from_the_base_to_the_answer_the_largest_first() -> None:
    drawn = waterfall(told({"a": 0.5, "b": -2.0, "c": 1.0}), {"a": 3.0, "b": None, "c": "x" * 99}, answer="7")
    assert [step.column for step in drawn.steps] == ["b", "c", "a"]
    assert [step.value for step in drawn.steps] == ["missing", f"{'x' * 39}…", "3"]
    assert drawn.steps[0].begin == drawn.base_at
    for before, after in zip(drawn.steps, drawn.steps[1:], strict=False):
        assert before.end == pytest.approx(after.begin)
    assert drawn.base + sum(step.added for step in drawn.steps) == pytest.approx(drawn.told)
    scale = (drawn.steps[0].end - drawn.steps[0].begin) / -2.0
    assert drawn.steps[-1].end - drawn.base_at == pytest.approx(scale * (drawn.told - drawn.base))
    assert all(0 <= step.left <= step.left + step.wide <= 1.001 for step in drawn.steps)
    assert drawn.warnings == ("slow",)


def test_many_columns_end_in_one_step_for_all_the_small_ones() -> None:
    added = {f"c{place}": float(place) for place in range(20)}
    drawn = waterfall(told(added), {}, answer="")
    assert len(drawn.steps) == SHOWN + 1
    assert drawn.steps[-1].column == "11 more columns"
    assert drawn.steps[-1].added == sum(range(11))
    assert drawn.told == pytest.approx(1 + sum(range(20)))
    few = waterfall(told({f"c{place}": float(place) for place in range(SHOWN + 1)}), {}, answer="")
    assert few.steps[-1].column == "c0"


def test_the_class_that_is_told_is_the_one_that_is_explained() -> None:
    each = {"prediction": {"a": 1.0, "b": 2.0}, "contributions": {"a": {"x": 1.0}, "b": {"x": 2.0}}}
    both = {**told({}), "base": {"a": 0.0, "b": 0.0}, "explanations": [each]}
    assert waterfall(both, {}, answer="b").output == "b"
    assert waterfall(both, {}, answer="neither").output == "a"


def test_a_model_that_looks_at_nothing_is_a_drawing_too() -> None:
    drawn = waterfall(told({"a": 0.0}), {}, answer="")
    assert drawn.steps[0].begin == drawn.steps[0].end == drawn.base_at
