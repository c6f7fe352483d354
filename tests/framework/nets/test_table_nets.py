"""The nets for tables: shapes, gaps and unseen categories, gradients, one graph, and the reference packages' numbers.

The expected literals were made on 21 November 2026 by rtdl_num_embeddings 0.0.12, tabm 0.0.3 and
rtdl_revisiting_models 0.0.2 in float64, given the same weights: parameter i of our net, in order, holds
sin(0.37 (i + 1) t + i) at its t-th entry, and the reference its counterparts. Ours agreed to 1e-11.
"""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from framework.nets import TABLE_NETS, NetError, build
from framework.nets.columns import Columns
from framework.nets.periodic import Periodic
from framework.nets.piecewise import Piecewise

SMALL = {
    "mlp": {"size": 4, "width": 16, "layers": 2},
    "tabm": {"size": 4, "width": 16, "members": 3},
    "ft_transformer": {"width": 16, "heads": 2, "blocks": 2},
}
CARDS = [0, 4, 0, 0, 9]
each = pytest.mark.parametrize("name", TABLE_NETS)


def table() -> np.ndarray:
    """200 rows with gaps, an unseen category, one out of range, and an infinity."""
    rng = np.random.default_rng(0)
    rows = rng.normal(3, 20, size=(200, 5))
    rows[:, 1], rows[:, 4] = rng.integers(0, 4, 200), rng.integers(0, 9, 200)
    rows[::7, 0] = rows[3, 1] = np.nan
    rows[4, 4], rows[5, 4], rows[6, 2] = -1, 99, np.inf
    return rows.astype(np.float32)


def made(name: str, *, cards: list[int] = CARDS, rows: np.ndarray | None = None, **shape: object) -> torch.nn.Module:
    torch.manual_seed(1)
    return build(name, cards=cards, outputs=2, **(SMALL[name] | shape)).learn(table() if rows is None else rows)


def test_every_net_is_tried() -> None:
    assert len(TABLE_NETS) >= 3
    assert set(SMALL) == set(TABLE_NETS)


def test_an_unknown_net_is_told_with_the_near_name() -> None:
    with pytest.raises(NetError, match=r"'tabn'.*'tabm'.*ft_transformer"):
        build("tabn", cards=[0], outputs=1)
    with pytest.raises(ValueError, match="at least one column"):
        build("mlp", cards=[], outputs=1)


def test_naming_nets_loads_no_torch() -> None:
    code = "import sys, framework.nets; print('torch' in sys.modules, 'numpy' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False False"


@each
@pytest.mark.parametrize("kind", ["mixed", "numbers", "codes"])
def test_any_row_has_an_answer_and_every_parameter_a_gradient(name: str, kind: str) -> None:
    places = {"mixed": [0, 1, 2, 3, 4], "numbers": [0, 2, 3], "codes": [1, 4]}[kind]
    rows = table()[:, places]
    net = made(name, cards=[CARDS[place] for place in places], rows=rows)
    told = net(torch.from_numpy(rows))
    assert told.shape == (200, SMALL[name].get("members", 1), 2)
    told.square().mean().backward()
    assert told.isfinite().all()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in net.parameters())


@each
def test_the_same_seed_makes_the_same_net(name: str) -> None:
    rows = torch.from_numpy(table())
    assert torch.equal(made(name).train()(rows[:4]), made(name).train()(rows[:4]))
    other = build(name, cards=CARDS, outputs=2, **SMALL[name]).learn(table()).eval()
    assert not torch.equal(made(name).eval()(rows), other(rows))


@each
def test_the_state_carries_what_was_learned_of_the_columns(name: str) -> None:
    net, rows = made(name).eval(), torch.from_numpy(table())
    again = build(name, cards=CARDS, outputs=2, **SMALL[name]).eval()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(rows), net(rows))


@each
def test_a_row_is_answered_alone_as_in_a_batch(name: str) -> None:
    net, rows = made(name).eval(), torch.from_numpy(table())
    alone = torch.cat([net(rows[place : place + 1]) for place in range(8)])
    assert torch.allclose(alone, net(rows)[:8], atol=1e-6)


@each
def test_a_compiler_sees_one_graph(name: str) -> None:
    net, rows = made(name, dropout=0.0).eval(), torch.from_numpy(table())
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(rows), net(rows), atol=1e-6)


@each
def test_a_gap_that_training_did_not_know_counts_as_the_median(name: str) -> None:
    rows = table()
    net = made(name, rows=rows).eval()
    gap, median = rows[8:9].copy(), rows[8:9].copy()
    gap[0, 3], median[0, 3] = np.nan, np.float32(np.median(rows[:, 3].astype(np.float64)))
    assert torch.allclose(net(torch.from_numpy(gap)), net(torch.from_numpy(median)), atol=1e-6)
    far = rows[8:9].copy()
    far[0, 3] = 60.0
    assert not torch.allclose(net(torch.from_numpy(gap)), net(torch.from_numpy(far)), atol=1e-4)


@each
def test_it_learns_who_is_ill(name: str) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :10].astype(np.float32)
    held, answers = torch.from_numpy(X), torch.from_numpy(y)
    torch.manual_seed(0)
    net = build(name, cards=[0] * 10, outputs=2, **SMALL[name]).learn(X[::2]).train()
    engine = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(30):
        told = net(held[::2])
        expected = answers[::2, None].expand(-1, told.shape[1])
        loss = torch.nn.functional.cross_entropy(told.transpose(1, 2), expected)
        engine.zero_grad()
        loss.backward()
        engine.step()
    with torch.no_grad():
        chance = net.eval()(held[1::2]).softmax(dim=2)[..., 1].mean(dim=1)
    assert roc_auc_score(y[1::2], chance) > 0.97


def test_columns_are_standardised_clipped_and_numbered() -> None:
    rows = table()
    columns = Columns(CARDS).learn(rows)
    z, gaps, places = columns(torch.from_numpy(rows))
    plain, _ = columns.standardised(torch.from_numpy(rows))
    assert abs(float(plain[:, 1].median())) < 1e-3
    assert 0.8 < float(plain[:, 2].std()) < 1.2
    assert z.abs().max() <= 3.0
    assert np.array_equal(gaps.numpy(), np.isnan(rows[:, [0, 2, 3]]))
    assert (z[gaps > 0] == 0).all()
    assert places.shape == (200, 2)
    assert places[3, 0] == 0  # missing
    assert places[4, 1] == places[5, 1] == 5  # unseen
    assert places[0].tolist() == [1 + rows[0, 1], 5 + 1 + rows[0, 4]]
    assert columns.places == 5 + 10


@each
def test_rows_that_have_passed_the_columns_are_answered_as_they_were_before(name: str) -> None:
    rows = torch.from_numpy(table())
    net = made(name).eval()
    placed = net.columns.placed(rows)
    assert len(placed) == len(rows)
    assert torch.equal(net(placed), net(rows))
    parts = placed.split(64)
    assert [len(part) for part in parts] == [64, 64, 64, 8]
    torch.testing.assert_close(torch.cat([net(part) for part in parts]), net(rows))


def test_members_differ_and_mini_shares_more() -> None:
    rows = torch.from_numpy(table())
    for adapters in ("full", "mini"):
        told = made("tabm", adapters=adapters).eval()(rows)
        assert told.std(dim=1).min() > 1e-4
    full, mini = (
        sum(part.numel() for part in made("tabm", adapters=adapters).layers.parameters())
        for adapters in ("full", "mini")
    )
    assert full - mini == 2 * 3 * 16 + 3 * 16 + 2 * (3 - 1) * 16  # S, the second R, and all but one B of each layer
    with pytest.raises(ValueError, match="'some'"):
        made("tabm", adapters="some")


@pytest.fixture
def exact() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def formula(net: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for place, part in enumerate(net.parameters()):
            part.copy_(torch.sin(torch.arange(part.numel()) * 0.37 * (place + 1) + place).reshape(part.shape))
    return net.eval()


def numbers(rows: int, columns: int) -> torch.Tensor:
    return torch.cos(torch.arange(rows * columns) * 1.3).reshape(rows, columns) * 2


def near(told: torch.Tensor, expected: list[float]) -> bool:
    return torch.allclose(told.flatten(), torch.tensor(expected), atol=2e-6, rtol=0)


@pytest.mark.usefixtures("exact")
def test_periodic_is_the_references() -> None:
    expected = [4.408166, 2.610501, 0.0, 0.0, 0.03809, 0.259412, 0.0, 0.124682, 1.016646, 0.0, 0.0, 0.0]
    assert near(formula(Periodic(2, 3, frequencies=4))(numbers(2, 2)), expected)


def test_on_a_line_a_perceptron_is_the_textbooks() -> None:
    """Against numpy: standardised numbers, x · u + v, one hidden layer with ReLU, a linear head."""
    rows = table()[7:60, [0, 2, 3]]
    rows = rows[np.isfinite(rows).all(axis=1)]
    net = made("mlp", cards=[0, 0, 0], rows=rows, numbers="linear", size=1, layers=1, dropout=0.0).eval()
    parts = {name: part.detach().numpy().astype(np.float64) for name, part in net.state_dict().items()}
    z = (rows - parts["trunk.embedded.columns.centre"]) / parts["trunk.embedded.columns.spread"]
    z = z / np.sqrt(1 + (z / 3) ** 2)
    told = z * parts["trunk.embedded.numbers.slope"][:, 0] + parts["trunk.embedded.numbers.offset"][:, 0]
    told = np.maximum(told @ parts["trunk.layers.0.weight"].T + parts["trunk.layers.0.bias"], 0.0)
    told = told @ parts["head.weight"].T + parts["head.bias"]
    assert len(rows) > 30
    assert np.allclose(net(torch.from_numpy(rows)).detach().numpy()[:, 0], told, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("exact")
def test_piecewise_is_the_references() -> None:
    net = formula(Piecewise(2, 3, bins=4))
    net.learn(numbers(40, 2))
    told = net(torch.tensor([[-2.5, 0.3], [0.9, 2.7]]))
    expected = [0.247279, 0.061039, -0.49551, 0.373524, -0.547865, -0.998351]
    expected += [1.370386, 1.28638, 0.670269, 2.903781, 3.22516, 2.157983]
    assert near(told, expected)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("adapters", ["full", "mini"])
def test_tabm_is_the_references(adapters: str) -> None:
    expected = {
        "full": [
            *(1.547712, 1.688601, 2.410728, 1.556458, -3.054398, -2.47103, 0.932735, 0.96218, 2.41491),
            *(1.561662, -2.184881, -1.828449, 1.314678, 1.421815, 2.360252, 1.576514, -1.779045, -1.510709),
        ],
        "mini": [
            *(2.150858, 2.209559, -0.526553, -0.229341, -1.778089, -2.07898, 3.096064, 3.253608, 0.037904),
            *(-0.018415, -2.563294, -3.053611, 2.493641, 2.338865, -0.988135, -0.781756, -2.544104, -2.866998),
        ],
    }[adapters]
    shape = {"size": 3, "width": 6, "layers": 2, "members": 3, "adapters": adapters}
    net = formula(build("tabm", cards=[0, 0], outputs=2, **shape).learn(numbers(40, 2).numpy()))
    assert near(net(numbers(3, 2)), expected)


@pytest.mark.usefixtures("exact")
def test_ft_transformer_is_the_references() -> None:
    """The reference was given our standardised numbers and our codes, 0 for missing and unseen."""
    net = formula(build("ft_transformer", cards=[0, 3, 0, 4], outputs=2, width=8, blocks=3, heads=2))
    rows = numbers(3, 4)
    rows[:, 1] = torch.tensor([0.0, 2.0, torch.nan])
    rows[:, 3] = torch.tensor([3.0, -1.0, 1.0])
    assert near(net(rows), [-1.866142, 1.594666, -1.818621, 1.465077, -1.848062, 1.515296])
