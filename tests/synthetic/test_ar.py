"""The autoregressive engine: exact conditions, values filled in, likelihoods that are probabilities."""

import itertools
import time

import numpy as np
import pandas as pd
import pytest
import torch

from framework.contender import Context
from synthetic.ar import AR, ArCore
from synthetic.ar_draw import Alike
from synthetic.ar_net import ArNet, mask
from synthetic.ar_ready import Ready
from synthetic.condition_error import ConditionError
from synthetic.constraints import FixedCombinations, Inequality, Sum
from synthetic.copula import Copula
from tests.synthetic.tables import fitted, penguins


def test_probabilities_of_all_rows_sum_to_one() -> None:
    random = np.random.default_rng(0)
    a = random.integers(0, 3, 600)
    table = pd.DataFrame({"a": a, "b": (a + (random.random(600) < 0.2)) % 3, "c": random.choice(list("xy"), 600)})
    model = AR(width=32, epochs=40).fit(table, (), Context(seed=0))
    every = pd.DataFrame(list(itertools.product(range(3), range(3), "xy")), columns=list("abc"))
    told = np.exp(model.log_likelihood(every))
    assert told.sum() == pytest.approx(1.0, abs=1e-4)
    shares = table.value_counts(normalize=True).reindex(pd.MultiIndex.from_frame(every), fill_value=0).to_numpy()
    assert np.abs(told - shares).max() < 0.05
    drawn = model.sample(20_000, seed=1).value_counts(normalize=True)
    assert np.abs(drawn.reindex(pd.MultiIndex.from_frame(every), fill_value=0).to_numpy() - shares).max() < 0.05


@pytest.mark.parametrize("name", ["ar", "copula"])
def test_a_condition_gives_what_the_rows_that_meet_it_give(name: str) -> None:
    rows = fitted(name).sample(800, {"species": "Gentoo"}, seed=1)
    real = penguins()[penguins()["species"] == "Gentoo"]
    assert abs(rows["flipper_length_mm"].mean() - real["flipper_length_mm"].mean()) < (5 if name == "ar" else 9)
    if name == "ar":  # a copula of three species on one line knows no more of islands
        assert rows["island"].eq("Biscoe").mean() > 0.85


def test_a_rare_condition_on_three_columns_costs_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model, drawn = fitted("ar"), []
    real = type(model.core).draw
    monkeypatch.setattr(
        type(model.core), "draw", lambda core, rows, *rest: drawn.append(rows) or real(core, rows, *rest)
    )
    rows = model.sample(1_000, {"species": "Chinstrap", "sex": None, "heavy": True}, seed=0)
    assert len(rows) == 1_000
    assert sum(drawn) < 1_200
    assert rows["species"].eq("Chinstrap").all()
    assert rows["sex"].isna().all()
    assert rows["heavy"].all()


@pytest.mark.parametrize("name", ["ar", "copula"])
def test_missing_values_are_filled_in_given_the_others(name: str) -> None:
    table = penguins().drop(columns=["wings"]).dropna().reset_index(drop=True)
    model = (AR(width=48, epochs=15) if name == "ar" else Copula()).fit(penguins(), (), Context(seed=3))
    gaps = table.copy()
    gaps["wings"] = np.nan
    gaps.loc[::2, "flipper_length_mm"] = np.nan
    gaps.loc[::3, "sex"] = None
    filled = model.impute(gaps[penguins().columns], seed=1)
    assert filled["flipper_length_mm"].notna().all()
    assert filled["sex"].isin(["male", "female"]).all()
    kept = gaps["flipper_length_mm"].notna()
    pd.testing.assert_series_equal(filled.loc[kept, "flipper_length_mm"], table.loc[kept, "flipper_length_mm"])
    error = (filled["flipper_length_mm"] - table["flipper_length_mm"])[~kept].abs().mean()
    shuffled = table["flipper_length_mm"].sample(frac=1, random_state=0).to_numpy()
    assert error < 0.8 * (shuffled - table["flipper_length_mm"])[~kept].abs().mean()
    pd.testing.assert_frame_equal(filled, model.impute(gaps[penguins().columns], seed=1))


def test_what_is_filled_in_holds_to_the_constraints() -> None:
    random = np.random.default_rng(0)
    low = random.integers(0, 20, 400)
    table = pd.DataFrame({"low": low, "high": low + random.integers(0, 20, 400), "city": np.where(low > 9, "A", "B")})
    table["side"] = np.where(low > 9, "left", "right")
    table["both"] = table["low"] + table["high"]
    constraints = (Inequality("low", "high"), FixedCombinations(("city", "side")), Sum(("low", "high"), "both"))
    model = Copula().fit(table, constraints)
    gaps = table.head(100).astype({"high": float, "both": float})
    gaps.loc[::2, ["high", "both"]] = np.nan
    gaps.loc[::3, "side"] = None
    filled = model.impute(gaps, seed=0)
    assert (filled["low"] <= filled["high"]).all()
    assert (filled["both"] == filled["low"] + filled["high"]).all()
    assert (filled["city"].eq("A") == filled["side"].eq("left")).all()


def test_an_engine_that_cannot_says_so() -> None:
    for ask in (fitted("gan").impute, fitted("gan").log_likelihood):
        with pytest.raises(ConditionError, match=r"the engine 'gan' cannot .* Take 'ar' or 'copula'"):
            ask(penguins())


@pytest.mark.parametrize("smooth", [{}, {1: 5, 3: 7}, {0: 3, 1: 5, 2: 4, 3: 7}], ids=["none", "some", "all"])
def test_what_is_learned_from_is_the_probability_that_rows_are_drawn_by(smooth: dict[int, int]) -> None:
    torch.manual_seed(0)
    cards = [4, 30, 7, 22]
    net = ArNet(cards, smooth={str(at): wide for at, wide in smooth.items()}, width=16)
    for part in (*net.tables, *net.heads):
        part.data.normal_()
    net.bias.normal_()
    tokens = torch.stack([torch.randint(0, card, (50,)) for card in cards], dim=1)
    shown = mask(50, len(cards)).float()
    told = net.surprise(tokens, shown)
    first = net.seen(tokens, shown)
    for at in range(len(cards)):
        begin = int(net.offsets[at])
        logits = net.hidden(first) @ net.logit_weights(at).T + net.bias[begin : begin + cards[at]]
        expected = -logits.clamp(-30, 30).log_softmax(dim=1).gather(1, tokens[:, at : at + 1])[:, 0]
        near = logits.abs().max(dim=1).values < 30  # beyond, categories are cut and numbers are not
        hidden = (shown[:, at] == 0) & near
        assert hidden.sum() > 5
        torch.testing.assert_close(told[hidden, at], expected[hidden], rtol=1e-4, atol=1e-4)
        assert (told[shown[:, at] == 1, at] == 0).all()


@pytest.mark.parametrize("rows", [1, 16, 300])
def test_a_net_made_ready_says_the_same_to_the_last_digit(rows: int) -> None:
    torch.manual_seed(0)
    net = ArNet([4, 30, 7, 22], smooth={"1": 5, "3": 7}, width=16, blocks=3, dropout=0.5).eval()
    for part in net.parameters():
        part.data.normal_()
    net.bias.normal_()
    ready, first = Ready.of(net), torch.randn(rows, 16)
    before = first.clone()
    with torch.inference_mode():
        assert torch.equal(ready.codes, net.codes())
        hidden = net.hidden(first)
        assert torch.equal(ready.hidden(first), hidden)
        assert all(torch.equal(ready.logits(hidden, at), net.logits(hidden, at)) for at in range(4))
        assert torch.equal(first, before)  # what is added up in place is its own


def test_rows_drawn_alike_so_far_are_told_once_and_drawn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    core, told = fitted("ar").core, []
    assert isinstance(core, ArCore)
    real = Ready.hidden
    monkeypatch.setattr(Ready, "hidden", lambda net, first: told.append(len(first)) or real(net, first))
    together, of_kinds = core.draw(4_000, {}, 5), sum(told)
    told.clear()
    every = torch.arange(4_000)
    monkeypatch.setattr(Alike, "split", lambda alike, tokens: Alike(alike.group, every, every))
    apart = core.draw(4_000, {}, 5)
    assert of_kinds < 0.9 * sum(told)
    assert (together == apart).mean() > 0.999  # but for what float32 rounds another way


def test_kinds_are_told_apart_as_long_as_many_rows_share_them() -> None:
    random = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], [400, 250, 350])
    alike, seen = Alike.begin(torch.from_numpy(group)), group[:, None]
    while len(alike.one) < 1_000:
        kinds = np.unique(seen, axis=0, return_inverse=True)[1].ravel()
        assert len(alike.one) == kinds.max() + 1 <= 500
        assert (alike.kind.numpy() == kinds).all()
        assert (alike.kind[alike.one] == torch.arange(len(alike.one))).all()
        ends = alike.ends(3)
        assert [set(group[alike.one[a:b].numpy()].reshape(-1)) for a, b in itertools.pairwise(ends)] == [{0}, {1}, {2}]
        tokens = random.integers(0, 4, 1_000)
        seen = np.concatenate([seen, tokens[:, None]], axis=1)
        alike = alike.split(torch.from_numpy(tokens))
    assert len(np.unique(seen, axis=0)) > 500
    assert alike.ends(3) == [0, 400, 650, 1_000]


def test_rows_are_drawn_in_several_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    core = fitted("ar").core
    assert isinstance(core, ArCore)
    real, parts = Ready.logits, len(core.net.cards)
    asked: list[int] = []
    monkeypatch.setattr(Ready, "logits", lambda net, hidden, at: asked.append(at) or real(net, hidden, at))
    core.draw(2_000, {2: np.arange(core.net.cards[2])[None] == 0}, 0)
    assert len(asked) == 8 * parts
    assert asked[:8] == [2] * 8  # what is bound goes first, in all of them
    orders = {tuple(asked[number::8]) for number in range(8)}
    assert all(sorted(order) == list(range(parts)) for order in orders)
    assert len(orders) == 8


def test_it_keeps_its_deadline_with_a_net_that_draws() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(2_000, 8)).round(3), columns=list("abcdefgh"))
    looks: list[int] = []
    context = Context(seed=0, deadline=time.time() + 4.0, sink=lambda step, metrics: looks.append(step))
    model = AR(epochs=10_000, patience=0).fit(table, (), context)
    assert len(looks) < 10_000
    assert len(model.sample(10)) == 10


def test_two_workers_learn_together(ray_session: object) -> None:
    alone = AR(width=32, epochs=6, dropout=0.0).fit(penguins(), (), Context(seed=1))
    pair = AR(width=32, epochs=6, dropout=0.0, workers=2).fit(penguins(), (), Context(seed=1))
    told = [float(model.log_likelihood(penguins()).mean()) for model in (alone, pair)]
    assert told[0] == pytest.approx(told[1], rel=0.1)
    assert pair.sample(20, {"species": "Adelie"}, seed=1)["species"].eq("Adelie").all()
