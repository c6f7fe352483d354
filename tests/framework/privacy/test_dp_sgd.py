"""Noisy steps: a row's gradient is its own, it is clipped, its noise has the length that is charged for."""

import numpy as np
import pytest
import torch
from torch import nn

from framework.privacy.accountant import PrivacyError
from framework.privacy.dp_sgd import BLOCK, DPSGD, check_net, each_gradient

ROWS = 2 * BLOCK + 30  # more than a block


def net() -> nn.Linear:
    made = nn.Linear(4, 1, bias=False)
    nn.init.zeros_(made.weight)
    return made


def stepped(noise: float, rate: float, clip: float = 1e9, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows, and the step that plain SGD makes of the gradients of their sums."""
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(ROWS, 4))).float()
    made = net()
    learner = DPSGD(
        made, lambda parts: torch.optim.SGD(parts, lr=1.0), rows=ROWS, rate=rate, noise=noise, clip=clip,
        random=np.random.default_rng(seed), seed=seed,
    )  # fmt: skip
    learner.step(lambda places: each_gradient(made, lambda told, row: told(row).sum(), rows[places]))
    learner.close()
    assert all(part.grad is None and part.grad_sample is None for part in made.parameters())
    return rows, made.weight.detach()[0]


def test_without_noise_a_step_is_that_of_the_rows_drawn_over_how_many_are_expected() -> None:
    rows, step = stepped(0.0, 1.0)
    torch.testing.assert_close(step, -rows.mean(dim=0), rtol=1e-4, atol=1e-6)
    rows, step = stepped(0.0, 0.3)
    drawn = rows[np.random.default_rng(1).random(ROWS) < 0.3]
    assert 0 < len(drawn) < ROWS
    torch.testing.assert_close(step, -drawn.sum(dim=0) / (0.3 * ROWS), rtol=1e-4, atol=1e-6)


def test_no_row_counts_more_than_the_clip() -> None:
    rows, step = stepped(0.0, 1.0, clip=0.5)
    held = rows * (0.5 / rows.norm(dim=1, keepdim=True)).clamp(max=1.0)
    torch.testing.assert_close(step, -held.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_the_noise_is_as_long_as_it_is_charged_for() -> None:
    noises = torch.stack([stepped(5.0, 1.0, clip=1e-3, seed=seed)[1] - stepped(0.0, 1.0, clip=1e-3)[1]
                          for seed in range(100)]) * ROWS / 1e-3  # fmt: skip
    assert noises.std().item() == pytest.approx(5.0, rel=0.12)
    assert not torch.equal(noises[0], noises[1])


def test_what_no_row_tells_is_added_after_the_noise() -> None:
    made = net()
    learner = DPSGD(
        made, lambda parts: torch.optim.SGD(parts, lr=0.1), rows=9, rate=1e-9, noise=0.0, clip=1.0,
        random=np.random.default_rng(1), seed=1,
    )  # fmt: skip
    learner.learning_rate(2.0)
    none = torch.zeros(9, 4)
    learner.step(
        lambda places: each_gradient(made, lambda told, row: told(row).sum(), none[places]),
        lambda: made.weight.grad.add_(3.0),  # type: ignore[union-attr]
    )
    torch.testing.assert_close(made.weight.detach(), torch.full((1, 4), -6.0))


def test_nets_whose_rows_see_one_another_are_refused_by_layer() -> None:
    wrong = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with pytest.raises(PrivacyError, match=r"the net 'ours' .* 1 \(BatchNorm1d\) .* Take another\."):
        check_net(wrong, "ours", "Take another.")
    check_net(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), "ours", "Take another.")
