"""The GPU bench on the CPU: every way of a step learns the same, and what it counts is what a hand counts."""

import pytest
import torch

from benchmarks.gpu import TINY, Lesson, Size, lean_step, least_bytes, line, measure, plain_step, step_flops

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", TINY, ids=lambda size: size.net)
def test_lean_and_compiled_steps_learn_what_the_plain_loop_does(size: Size) -> None:
    still = Size(size.net, size.numbers, size.codes, size.batch, size.shape | {"dropout": 0.0})
    if size.net == "ft_transformer":
        still.shape["attention_dropout"] = 0.0
    learned = []
    for way in ("plain", "lean", "compiled"):
        lesson = Lesson(still, CPU, lean=way != "plain")
        step = (
            plain_step(lesson)
            if way == "plain"
            else lean_step(lesson, compiled=way == "compiled", backend="eager", recorded=False)
        )
        before = torch.cat([part.detach().flatten().clone() for part in lesson.net.parameters()])
        for _ in range(3):
            step()
        after = torch.cat([part.detach().flatten() for part in lesson.net.parameters()])
        assert (after - before).abs().max() > 1e-4
        learned.append(after - before)
    for other in learned[1:]:
        assert torch.nn.functional.cosine_similarity(other, learned[0], dim=0) > 0.99


def test_operations_are_counted_as_by_hand() -> None:
    size = Size("tabm", 6, 2, 64, {"width": 64, "members": 4, "size": 8})
    layers = 2 * 64 * 4 * (8 * 8 * 64 + 64 * 64 + 64)
    piecewise = 2 * 64 * 6 * 48 * 8  # the numbers themselves need no gradient
    assert step_flops(size) == 3 * layers + 2 * piecewise
    parameters = sum(part.numel() for part in Lesson(size, CPU, lean=False).net.parameters())
    assert least_bytes(size) > 40 * parameters + 2 * 2 * 64 * 4 * (64 + 64)  # the hidden layers are kept


def test_a_table_has_a_row_for_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu.seconds", lambda work, *_, **__: (work(), 0.5)[1])  # a stand-in for the clock
    _, rows = measure(TINY[:1], CPU, tiny=True)
    assert [row.way for row in rows] == ["plain", "lean", "compiled"]
    assert all(row.ratio == 1.0 and row.steps_a_second == 2.0 and row.share_flops > 0 for row in rows)
    assert line(rows[0]).startswith("| ft_transformer | 8 | 64 | plain | 2.0 | 1.00 | ")
