"""The net trained by noisy steps: a row's gradient is its own, what is spent is told, and it learns."""

import numpy as np
import pytest
import torch

from framework.contender import Context
from synthetic.ar import ArCore
from synthetic.ar_net import ArNet
from synthetic.constraints import Inequality
from synthetic.private.domain import Domain
from synthetic.private.hot_net import HotNet, hot
from synthetic.private.noisy_ar import NoisyAR, row_gradients
from tests.synthetic.test_private import BIRDS, birds

SMOOTH = {"1": 12}


def net() -> HotNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = HotNet([3, 20, 2], smooth=SMOOTH, width=8)
        for head in made.heads:
            head.data = torch.randn_like(head)
    return made


def test_the_loss_of_ones_and_zeros_is_that_of_the_net_over_tokens() -> None:
    made, tokens = net(), torch.tensor([[2, 13, 1], [0, 5, 0]])
    plain = ArNet([3, 20, 2], smooth=SMOOTH, width=8)
    plain.load_state_dict(made.state_dict())
    for row, shown in zip(tokens, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), strict=True):
        told = made(hot(row[None], made)[0], shown[None])
        expected = plain.surprise(row[None], shown[None]).sum() / (1 - shown).sum()
        assert told.item() == pytest.approx(expected.item(), rel=1e-5)


def test_each_gradient_is_that_of_its_row_alone() -> None:
    made = net()
    true = hot(torch.tensor([[2, 13, 1], [0, 5, 0], [1, 19, 1]]), made)
    shown = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]] * 3)
    found = row_gradients(made, true, shown)
    for row in range(3):
        made.zero_grad()
        made(true[row], shown[row]).backward()
        for name, part in made.named_parameters():
            if part.requires_grad:
                assert part.grad is not None
                torch.testing.assert_close(found[name][row], part.grad, rtol=1e-4, atol=1e-6)
    assert {len(part) for part in row_gradients(made, true[:0], shown[:0]).values()} == {0}


def test_a_private_net_keeps_to_its_budget_and_to_what_is_asked() -> None:
    engine = NoisyAR(epsilon=4.0, domain=Domain.from_json(BIRDS), width=16, blocks=1, steps=4, batch=64)
    fitted = engine.fit(birds(), [Inequality("bill_depth_mm", "bill_length_mm")])
    assert 3.8 < fitted.facts["ε spent"] <= 4.0
    assert fitted.facts["steps"] == 4
    rows = fitted.sample(60, {"species": "Gentoo"}, seed=1)
    assert rows["species"].eq("Gentoo").all()
    assert rows.dtypes.tolist() == birds().dtypes.tolist()
    late = engine.fit(birds(), (), Context(deadline=0.0))
    assert late.facts["steps"] == 0
    assert late.facts["ε spent"] < 4.0


def test_with_little_noise_it_learns_what_hangs_together() -> None:
    table = birds()[["species", "island", "sex", "year"]]
    domain = Domain({name: each for name, each in Domain.from_json(BIRDS).columns.items() if name in table})
    fitted = NoisyAR(epsilon=90.0, domain=domain, width=16, blocks=1, steps=60, batch=128, learning_rate=0.02).fit(
        table
    )
    assert isinstance(fitted.core, ArCore)
    rows = fitted.sample(400, {"species": "Gentoo"}, seed=1)
    assert rows["island"].eq("Biscoe").mean() > 0.8  # all Gentoos of the table; of all birds 49 %
    assert np.isclose(rows["sex"].isna().mean(), table["sex"].isna().mean(), atol=0.1)
