"""The GAN behind a noisy critic: rows are seen one by one, the budget is kept, and it learns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from framework.contender import Context
from framework.privacy.dp_sgd import check_net
from synthetic.constraints import Inequality
from synthetic.fitted import Fitted
from synthetic.private.domain import Domain
from synthetic.private.noisy_critic import SLOPE, bound, critic_of, hot
from synthetic.private.noisy_gan import NoisyGAN
from tests.synthetic.test_private import BIRDS, birds


def test_the_critic_sees_rows_alone_and_stretches_nothing() -> None:
    critic = critic_of(12, 8)
    check_net(critic, "critic", "")
    rows = torch.randn(5, 12)
    torch.testing.assert_close(critic(rows), torch.cat([critic(row[None]) for row in rows]))
    with torch.no_grad():
        critic[0].weight.mul_(50.0)  # type: ignore[operator]
    bound(critic)
    for layer in critic.modules():
        if isinstance(layer, torch.nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight, ord=2) <= SLOPE * (1 + 1e-5)
    one, other = torch.randn(2, 200, 12)
    assert ((critic(one) - critic(other)).abs()[:, 0] <= (one - other).norm(dim=1) * (1 + 1e-5)).all()


def test_tokens_are_ones_and_zeros() -> None:
    made = hot(torch.tensor([[2, 0], [0, 1]]), np.array([0, 3, 5]))
    assert made.tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 1]]


def test_a_private_gan_keeps_to_its_budget_and_to_what_is_asked(tmp_path: Path) -> None:
    made = NoisyGAN(epsilon=4.0, domain=Domain.from_json(BIRDS), width=16, steps=4, turns=2, batch=64)
    fitted = made.fit(birds(), [Inequality("bill_depth_mm", "bill_length_mm")])
    assert 3.8 < fitted.facts["ε spent"] <= 4.0
    assert fitted.facts["steps"] == 4
    rows = fitted.sample(40, {"species": "Gentoo"}, seed=1)
    assert rows["species"].eq("Gentoo").all()
    assert rows.dtypes.tolist() == birds().dtypes.tolist()
    fitted.save(tmp_path)
    pd.testing.assert_frame_equal(Fitted.load(tmp_path).sample(20, seed=2), fitted.sample(20, seed=2))
    late = made.fit(birds(), (), Context(deadline=0.0))
    assert late.facts["steps"] == 0
    assert late.facts["ε spent"] < 4.0


def test_with_little_noise_it_learns_what_hangs_together() -> None:
    table = birds()[["species", "island"]]
    domain = Domain({name: each for name, each in Domain.from_json(BIRDS).columns.items() if name in table})
    made = NoisyGAN(epsilon=100.0, domain=domain, width=32, steps=300, turns=1, batch=128, learning_rate=0.003)
    rows = made.fit(table).sample(600, seed=1)
    together = rows[rows["species"] == "Gentoo"]["island"].eq("Biscoe").mean()
    alone = rows["island"].eq("Biscoe").mean()
    assert alone < 0.75
    assert together > alone + 0.15  # all Gentoos of the table, and half of all birds


def test_its_conditions_are_drawn_by_noisy_counts_not_by_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    table = birds()[["species", "sex"]]
    domain = Domain({name: each for name, each in Domain.from_json(BIRDS).columns.items() if name in table})
    monkeypatch.setattr("synthetic.private.noisy_start.noisy", lambda counts, rho, random: np.arange(len(counts)))
    fitted = NoisyGAN(domain=domain, width=8, steps=1).fit(table)
    chances = fitted.core.asked[0]  # type: ignore[attr-defined]
    assert chances[2] > chances[1] > chances[0]  # as made up; of the table it is the first that most birds are
