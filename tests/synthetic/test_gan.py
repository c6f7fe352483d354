"""The conditional GAN: rows become vectors and come back; conditions reach the generator; it learns."""

import time
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from framework.contender import Context, OutOfTimeError
from synthetic.fitted import Fitted, learn
from synthetic.gan import GAN, GANCore
from synthetic.gan_conditions import Conditions
from synthetic.gan_modes import Modes
from synthetic.gan_moments import LEAST_SPREAD, Moments
from synthetic.gan_net import Critic, choose, drawn
from synthetic.gan_training import falling
from synthetic.synthesizer import Learned, seeded
from tests.synthetic.tables import penguins


class StopError(Exception):
    """Ends a fit with what it was given."""


def learned(table: pd.DataFrame) -> Learned:
    held: list[Learned] = []

    def keep(rows: Learned) -> GANCore:
        held.append(rows)
        raise StopError

    with pytest.raises(StopError):
        learn(table, (), keep)
    return held[0]


def test_a_vector_gives_its_row_back() -> None:
    rows = learned(penguins())
    modes = Modes.learn(rows, seed=0)
    made = modes.encode(rows, seeded(0))
    assert made.shape == (len(rows), modes.width)
    for span in modes.spans:
        assert np.array_equal(made[:, span.corners].sum(axis=1), np.ones(len(rows)))
    places = modes.decode(made, rows.codecs)
    assert np.abs(places - rows.places)[rows.places % 1 != 0.5].max() < 0.02
    assert (places.astype(int) == rows.tokens).mean() > 0.99


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e13])
def test_a_vector_gives_its_row_back_at_any_scale(scale: float) -> None:
    random = np.random.default_rng(0)
    spent = np.where(random.random(600) < 0.3, 0.0, np.exp(random.normal(0, 0.7, 600))) * scale
    rows = learned(pd.DataFrame({"spent": spent, "kind": random.choice(list("ab"), 600)}))
    modes = Modes.learn(rows, seed=0)
    made = modes.decode(modes.encode(rows, seeded(0)), rows.codecs)
    assert (made.astype(int) == rows.tokens).mean() > 0.99


def test_a_number_that_few_rows_have_is_not_always_the_same() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"bonus": np.where(np.arange(300) < 15, random.normal(5, 1, 300), np.nan)})
    table["kind"] = random.choice(list("ab"), 300)
    rows = learned(table)
    assert rows.cards.tolist() == [2, 2]
    modes = Modes.learn(rows, seed=0)
    made = modes.decode(modes.encode(rows, seeded(0)), rows.codecs)
    there = ~table["bonus"].isna().to_numpy()
    assert np.abs(made - rows.places)[there, 0].max() < 0.02
    assert (made[~there, 0].astype(int) == 1).all()
    drawn = GAN(epochs=30, batch=100, width=16, looks=1).fit(table, ()).sample(2_000)["bonus"].dropna()
    assert drawn.nunique() > 5


@pytest.mark.parametrize("seed", [-1, 2**40])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert Modes.learn(learned(penguins()), seed).width == Modes.learn(learned(penguins()), seed % 2**32).width


def test_what_one_row_alone_shows_is_learned_and_may_be_asked_for() -> None:
    random = np.random.default_rng(0)
    kinds = np.append([f"k{each}" for each in range(30)], random.choice(["a", "b"], 270))
    table = pd.DataFrame({"kind": kinds, "x": random.normal(size=300)})
    core = GAN(epochs=1, width=8, looks=1).fit(table).core
    assert isinstance(core, GANCore)
    assert core.asked[0].min() > 0
    for token in range(len(core.asked[0])):
        assert core.draw(4, {0: np.arange(len(core.asked[0]))[None] == token}, 0).shape == (4, 2)


def test_a_condition_that_noise_left_no_share_is_drawn_by_all_the_same() -> None:
    core = taught()[0].core
    assert isinstance(core, GANCore)
    noisy = GANCore(core.generator, core.modes, core.codecs, {0: np.array([0.7, 0.3, 0.0])}, core.shape)
    drawn = noisy.draw(2_000, {0: np.array([[False, False, True]])}, 0)
    assert float((drawn[:, 0].astype(int) == 2).mean()) > 0.5


def test_a_frequent_value_is_a_mode_without_width() -> None:
    random = np.random.default_rng(0)
    spent = np.where(random.random(500) < 0.4, 0.0, random.normal(80, 5, 500))
    modes = Modes.learn(learned(pd.DataFrame({"spent": spent, "kind": random.choice(list("ab"), 500)})), seed=0)
    span = modes.spans[0]
    assert span.centres is not None
    assert span.widths is not None
    assert span.centres[0] == span.widths[0] == 0.0
    assert np.all(span.widths[1:] > 0)


def test_rows_are_drawn_by_the_logarithm_of_their_categories() -> None:
    table = pd.DataFrame({"rare": ["yes"] * 20 + ["no"] * 980, "x": np.random.default_rng(0).normal(size=1_000)})
    rows = learned(table)
    conditions = Conditions(rows, Modes.learn(rows, seed=0))
    part, token, vector, matching = conditions.draw(4_000, np.random.default_rng(0))
    assert part.unique().tolist() == [0]
    assert (rows.tokens[matching.numpy(), 0] == token.numpy()).all()
    assert (vector.sum(dim=1) == 1).all()
    expected = np.log1p(20) / (np.log1p(20) + np.log1p(980))
    assert abs(float((token == 1).float().mean()) - expected) < 0.03
    plain = conditions.draw(4_000, np.random.default_rng(0), even=False)[1]
    assert abs(float((plain == 1).float().mean()) - 0.02) < 0.01
    taken = np.bincount(conditions.draw(200_000, np.random.default_rng(1))[3].numpy(), minlength=len(rows)) / 200_000
    assert conditions.weights.sum() == pytest.approx(1)
    assert np.corrcoef(taken, conditions.weights)[0, 1] > 0.99
    assert conditions.weights[:20].sum() == pytest.approx(expected)


def test_moments_are_the_weighted_means_and_correlations_of_values_too() -> None:
    rows = learned(penguins()[["species", "body_mass_g", "bill_length_mm"]].dropna())
    modes = Modes.learn(rows, seed=0)
    real = torch.from_numpy(modes.encode(rows, seeded(0)))
    share = np.random.default_rng(0).random(len(rows))
    share /= share.sum()
    moments = Moments(real, share, modes)
    assert moments.mean.shape == (modes.width + 2,)
    wanted = np.average(real.numpy(), axis=0, weights=share)
    assert moments.mean[: modes.width].numpy() == pytest.approx(wanted, abs=1e-5)
    values = np.stack([rows.codecs[at].values_at(rows.places[:, at]) for at in (1, 2)])  # type: ignore[union-attr]
    assert float(moments.correlations[-2, -1]) == pytest.approx(
        np.cov(values, aweights=share, ddof=0)[0, 1]
        / np.prod([np.sqrt(np.cov(v, aweights=share, ddof=0)) for v in values]),
        abs=0.02,
    )
    assert float(moments.spread.min()) >= LEAST_SPREAD


def test_rows_like_the_real_ones_are_not_apart_and_mixed_up_ones_are() -> None:
    rows = learned(penguins()[["species", "body_mass_g", "bill_length_mm"]].dropna())
    modes = Modes.learn(rows, seed=0)
    real = torch.from_numpy(modes.encode(rows, seeded(0)))
    moments = Moments(real, np.full(len(rows), 1 / len(rows)), modes)
    some = seeded(1).permutation(len(rows))
    mixed = real.clone()
    mixed[:, : modes.spans[1].begin] = mixed[some][:, : modes.spans[1].begin]
    assert abs(float(moments.apart(real[some]))) < 0.2 * float(moments.apart(mixed[some]))
    made = real[some].clone().requires_grad_(True)
    moments.apart(made).backward()
    assert made.grad is not None
    assert float(made.grad.abs().sum()) > 0


def test_corners_are_drawn_as_often_as_the_soft_ones_say() -> None:
    rows = learned(penguins()[["species", "body_mass_g"]].dropna())
    modes = Modes.learn(rows, seed=0)
    logits = torch.randn(1, modes.width, generator=torch.Generator().manual_seed(0)).repeat(4_000, 1)
    soft = choose(logits, modes, torch.rand_like(logits))
    fast = drawn(logits, modes, torch.empty_like(logits).exponential_())
    corners = modes.spans[0].corners
    assert torch.allclose(soft[:, corners].sum(dim=1), torch.ones(4_000))
    often = [each[:, corners].argmax(dim=1).bincount(minlength=3) / 4_000 for each in (soft, fast)]
    assert all(torch.allclose(each, logits[0, corners].softmax(dim=0), atol=0.04) for each in often)
    assert torch.equal(fast[:, modes.spans[1].begin], soft[:, modes.spans[1].begin])


def test_the_rate_is_whole_and_then_falls_to_nothing() -> None:
    assert [falling(gone) for gone in (0.0, 0.29, 0.65, 1.0)] == pytest.approx([1, 1, 0.5, 0])


def test_the_penalty_is_that_of_the_gradients_length() -> None:
    critic = Critic(3, width=8, pack=2).eval()
    critic.layers = torch.nn.Linear(6, 1, bias=False)
    critic.layers.weight.data[:] = torch.tensor([[3.0, 0, 0, 4.0, 0, 0]])
    assert float(critic.penalty(torch.randn(8, 3), torch.randn(8, 3))) == pytest.approx(10 * (5 - 1) ** 2, rel=1e-5)


@cache
def taught() -> tuple[Fitted, list[float]]:
    """A GAN of three kinds, one of them rare, and a number that tells them; and how alike it was at each look."""
    random = np.random.default_rng(0)
    kind = random.choice(list("abc"), 900, p=[0.6, 0.3, 0.1])
    x = np.select([kind == "a", kind == "b"], [0.0, 10.0], 20.0) + random.normal(size=900)
    looks: list[float] = []
    context = Context(seed=1, sink=lambda step, metrics: looks.append(metrics["alike"]))
    asked = GAN(epochs=150, batch=100, width=64, pack=5, looks=5, learning_rate=0.001)
    return asked.fit(pd.DataFrame({"kind": kind, "x": x}), (), context), looks


def test_a_condition_reaches_the_generator() -> None:
    core = taught()[0].core
    mask = np.array([[False, False, True]])
    told = [float((core.draw(2_000, each, 0)[:, 0].astype(int) == 2).mean()) for each in ({0: mask}, {})]
    assert told[0] > 0.5 > 2 * told[1]


def test_it_learns_what_hangs_together() -> None:
    model, looks = taught()
    rows = model.sample(2_000)
    assert len(looks) == 5
    assert set(rows["kind"]) == set("abc")
    means = rows.groupby("kind")["x"].mean()
    assert means["b"] - means["a"] > 4


def test_time_too_short_for_a_look_is_told() -> None:
    with pytest.raises(OutOfTimeError, match="too short for the GAN's first look"):
        GAN(epochs=0).fit(penguins(), (), Context(deadline=time.time() + 100))
