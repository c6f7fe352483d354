"""The diffusion: rows become vectors and come back, a net that knows all takes all noise off, conditions are heeded."""

import time
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from framework.contender import Context
from synthetic.condition_error import ConditionError
from synthetic.diffusion import Diffusion
from synthetic.diffusion_net import Denoiser
from synthetic.diffusion_space import Axes
from synthetic.fitted import Fitted
from synthetic.synthesizer import seeded
from tests.synthetic.tables import fitted, penguins
from tests.synthetic.test_gan import learned


def test_a_vector_gives_its_row_back() -> None:
    rows = learned(penguins())
    axes = Axes.learn(rows)
    made = axes.encode(rows.places, seeded(0))
    assert made.shape == (len(rows), axes.width)
    back = axes.decode(made, seeded(1))
    whole = back.astype(np.int64) == rows.tokens
    assert whole.mean() > 0.97
    assert np.abs(back - rows.places)[~whole].max() < 1e-3  # float32, at the border of two bins
    for axis in axes.axes:
        if axis.edges is not None:
            there = made[:, axis.begin] if not axis.missing else made[made[:, axis.begin + 1] < 0, axis.begin]
            assert abs(there.mean()) < 0.15
            assert abs(there.std() - 1) < 0.15


def test_the_first_guess_is_the_preconditioners() -> None:
    net = Denoiser([2.0, 0.5], [0, 1], width=8).eval()  # its last layer is zero
    noisy, sigma = torch.tensor([[3.0, -1.0]]), torch.tensor([[1.5]])
    told = net.denoise(noisy, sigma, torch.zeros(1, 2, dtype=torch.bool))
    skip = np.array([2.0, 0.5]) ** 2 / (np.array([2.0, 0.5]) ** 2 + 1.5**2)
    assert told.detach().numpy()[0] == pytest.approx(skip * np.array([3.0, -1.0]))
    known = net.denoise(noisy, sigma, torch.tensor([[False, True]]))
    assert known[0, 1] == -1.0


def test_with_the_right_denoiser_a_draw_has_the_rows_spread() -> None:
    """Of normal rows the skip alone is the right denoiser, so that what is drawn must be normal of that spread."""
    net = Denoiser([1.0, 0.5], [0, 1], width=8).eval()
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(20_000, 2, dtype=torch.bool)
    made = net.draw(noise, torch.zeros(20_000, 2), nothing, 20).numpy()
    assert made.std(axis=0) == pytest.approx([1.0, 0.5], rel=0.05)


@cache
def kinds() -> pd.DataFrame:
    random = np.random.default_rng(0)
    kind = random.choice(list("abc"), 900, p=[0.6, 0.3, 0.1])
    x = np.select([kind == "a", kind == "b"], [0.0, 10.0], 20.0) + random.normal(size=900)
    return pd.DataFrame({"kind": kind, "x": x, "sign": np.where(x > 5, "up", "down")})


@cache
def taught() -> tuple[Fitted, list[float]]:
    looks: list[float] = []
    context = Context(seed=1, sink=lambda step, metrics: looks.append(metrics["valid_loss"]))
    return Diffusion(width=64, epochs=60).fit(kinds(), (), context), looks


def test_it_learns_what_hangs_together_and_loses_no_category() -> None:
    model, looks = taught()
    assert min(looks) < 0.9 * looks[0]
    rows = model.sample(2_000)
    shares = rows["kind"].value_counts(normalize=True)
    assert shares["c"] == pytest.approx(0.1, abs=0.05)
    means = rows.groupby("kind")["x"].mean()
    assert means["b"] - means["a"] == pytest.approx(10, abs=2)
    assert means["c"] - means["b"] == pytest.approx(10, abs=3)
    assert rows.groupby("kind")["x"].std().max() < 5


def test_a_condition_turns_the_rest_of_the_row() -> None:
    rows = taught()[0].sample(300, {"kind": "c"})
    assert rows["kind"].eq("c").all()
    assert rows["x"].mean() > 15  # of all rows: 5
    assert rows["sign"].eq("up").mean() > 0.95
    both = taught()[0].sample(50, {"kind": "b", "sign": "up"}, seed=3)
    assert both["kind"].eq("b").all()
    assert both["sign"].eq("up").all()


def test_a_deadline_ends_it_with_what_it_has() -> None:
    began = Context(deadline=time.time() + 1.0)
    model = Diffusion(epochs=10**6, patience=0, held=0.1, width=32).fit(kinds(), (), began)
    assert len(model.sample(20)) == 20


def test_a_table_of_constants_is_drawn_as_it_is() -> None:
    rows = Diffusion(width=16, epochs=1).fit(pd.DataFrame({"a": [1] * 30, "b": ["x"] * 30})).sample(5)
    assert rows["a"].eq(1).all()
    assert rows["b"].eq("x").all()


def test_what_it_cannot_do_is_told() -> None:
    with pytest.raises(ConditionError, match="'diffusion' cannot fill in missing values"):
        fitted("diffusion").impute(penguins())
